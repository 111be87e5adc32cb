"""One step of Eq. 7 on random latents, with the tiny model: python examples/training_step.py"""

import torch

from idol.losses import LossConfig, training_losses
from idol.model import DualModalDenoiser, preset

model = DualModalDenoiser.from_config(preset("tiny"))  # "sd14" is the paper's 1.41 B parameters
channels, size = model.settings.latent_channels, 16
timesteps = torch.tensor([500])  # one for the clip and both modalities
noise = torch.randn(1, 2, 8, channels, size, size)  # clip; video, depth; frames; latent
output = model(
    noise,
    timesteps,
    torch.randn(1, 65, model.settings.foreground_dim),  # tokens of the foreground image
    torch.randn(1, channels, size, size),  # background latent
    torch.randn(1, 8, channels, size, size),  # pose latents
    return_features=True,
)
config = LossConfig(denoise_error=model.settings.prediction)  # the tiny model learns the change
losses = training_losses(output.noise_pred_BMFCHW, noise, output.features, config, timesteps)
losses.total.backward()
print(f"denoising {losses.denoise_M.sum():.3f}, motion {losses.motion:.2e}, ", end="")
print(f"cross-attention {losses.cross_attention:.2e}, together {losses.total:.3f}")
