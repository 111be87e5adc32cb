"""Initial weights: fresh ones, or those of a model with other switches or smaller patches."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from idol.config.model import DualModalUNetConfig
from idol.model.attention import zero_
from idol.model.denoiser import DualModalDenoiser
from idol.model.from_2d import is_new
from idol.model.saving import CheckpointError, raise_if_different

__all__ = ["start_from_nothing", "widened", "with_settings"]

# Coarser levels add little at first, but not nothing: pre-training, which does not train the
# convolutions between the levels, reaches their attention through them.
_FROM_BELOW = 0.1

# Around here SiLU is nearly straight for normalised values.
_STRAIGHT = 2.0


def start_from_nothing(denoiser: DualModalDenoiser) -> None:
    """Change fresh weights so that the model learns, and can be sampled from, in a few minutes.

    Noise is told from an image value by value, and a deep network with random weights takes
    thousands of steps to let every value of its input through. So ResBlocks and transformers start
    as their shortcuts, the first channels of the finest level carry the values, and the last norm
    shifts these to where SiLU bends them little. The last convolution starts as giving the input,
    normalised; channels beyond carry features as drawn. Where the change is predicted, it starts
    as giving nearly none, and background and pose reach every level from the first step on.

    A finest level of fewer channels than the latent carries as many values as it can.
    """
    for name, module in denoiser.named_modules():
        resblock = name.endswith(".conv2")
        transformer = name.endswith(".proj_out") and ".attentions." in name
        if resblock or transformer:
            zero_(module)
    unet = denoiser.unet
    channels, values = unet.conv_in.weight.shape[:2]
    carried = min(channels, values)
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".upsamplers." in name:
                parameter.mul_(_FROM_BELOW)
        for number, resnet in enumerate(unet.up_blocks[-1].get_submodule("resnets").children()):
            # What comes from below is other features; within the level, the same as the skip.
            shortcut = resnet.get_submodule("conv_shortcut")
            _pass_on(shortcut.get_parameter("weight"), inputs=1 if number == 0 else 2)
            nn.init.zeros_(shortcut.get_parameter("bias"))
        nn.init.dirac_(unet.conv_in.weight[:carried])
        nn.init.zeros_(unet.conv_in.get_parameter("bias"))
        unet.reset_background_conv()
        if denoiser.settings.prediction == "change":
            _expect_little_change(denoiser)
        else:
            zero_(unet.conv_out)
            nn.init.dirac_(unet.conv_out.weight[:, :carried])
            unet.conv_norm_out.get_parameter("bias")[:carried] = _STRAIGHT
            unet.conv_out.get_parameter("bias")[:carried] = -F.silu(torch.tensor(_STRAIGHT))
    denoiser.copy_encoder_to_controlnet()


def _expect_little_change(denoiser: DualModalDenoiser) -> None:
    """Predict little change, and none of it zero: pre-training keeps this, and learns through it.

    Pose and background reach all levels from the first step on.
    """
    unet, controlnet = denoiser.unet, denoiser.controlnet
    unet.conv_out.weight.mul_(_FROM_BELOW)
    nn.init.zeros_(unet.conv_out.get_parameter("bias"))
    entries = [controlnet.pose_conv]
    if unet.settings.background == "latent":
        entries.append(unet.background_conv)
    for conv in entries:
        nn.init.kaiming_uniform_(conv.weight, a=5**0.5)
    for conv in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        nn.init.dirac_(conv.get_parameter("weight"))
        conv.get_parameter("weight").mul_(_FROM_BELOW)


def _pass_on(weight_OIHW: torch.Tensor, *, inputs: int) -> None:
    """Average the last `inputs` of the feature maps of a shortcut's input; others stay as drawn."""
    channels = len(weight_OIHW)
    identity = torch.eye(channels)[:, :, None, None] / inputs
    for number in range(1, inputs + 1):
        start = weight_OIHW.shape[1] - number * channels
        weight_OIHW[:, start : start + channels] = identity


def with_settings(denoiser: DualModalDenoiser, config: DualModalUNetConfig) -> DualModalDenoiser:
    """The model with other switches: weights that both have are kept, what is new starts afresh.

    What only the old one had is left out. So pre-training, which trains the 2D model alone, serves
    every system of the paper's tables.

    Raises:
        CheckpointError: it is of other sizes.
    """
    if denoiser.settings == config:
        return denoiser
    other = type(denoiser).from_config(config)
    own = other.state_dict()
    given = denoiser.state_dict()
    missing = [key for key in own.keys() - given.keys() if not is_new(_inside(key))]
    extra = [key for key in given.keys() - own.keys() if not is_new(_inside(key))]
    differing = [k for k in own.keys() & given.keys() if own[k].shape != given[k].shape]
    raise_if_different(
        type(other).__name__, "the model before", missing=missing + differing, extra=extra
    )
    other.load_state_dict({k: v for k, v in given.items() if k in own}, strict=False)
    return other


def widened(denoiser: DualModalDenoiser, config: DualModalUNetConfig) -> DualModalDenoiser:
    """The model for the latents of `config`, which begin with its own: larger patches.

    Every weight is kept. What the first convolutions read besides counts nothing at first, and the
    last one gives no change of it: so the model makes the picture that it made before, at twice the
    size, with the background's own fine detail (`idol.encoders.PatchCodec`).

    Raises:
        CheckpointError: the latents are no wider, or the change is not what it predicts.
    """
    before, wanted = denoiser.settings, config.latent_channels
    if before.prediction != "change" or wanted <= before.latent_channels:
        raise CheckpointError(
            f"a model that predicts the {before.prediction} of {before.latent_channels} latent "
            f"channels is not made one of {wanted}"
        )
    of_latents = ("latent_channels", "change_spread", "far_latent")
    settings = dataclasses.replace(before, **{name: getattr(config, name) for name in of_latents})
    other = type(denoiser).from_config(settings)
    given = denoiser.state_dict()
    with torch.no_grad():
        for key, tensor in other.state_dict().items():
            # Convolutions have the latent's channels first or second, and biases first.
            part = tensor[tuple(slice(n) for n in given[key].shape)]
            if part.shape != tensor.shape:
                tensor.zero_()
            part.copy_(given[key])
    return other


def _inside(key: str) -> str:
    """A parameter's name inside its part of the denoiser."""
    return key.partition(".")[2]
