"""A start for models that have no weights to start from: preset `tiny`, never the paper's."""

import torch
import torch.nn.functional as F
from torch import nn

from idol.model.attention import zero_
from idol.model.denoiser import DualModalDenoiser

__all__ = ["start_from_nothing"]

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
    normalised; channels beyond carry features as drawn.

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
        unet.reset_background_conv()
        zero_(unet.conv_out)
        nn.init.dirac_(unet.conv_out.weight[:, :carried])
        unet.conv_norm_out.get_parameter("bias")[:carried] = _STRAIGHT
        unet.conv_out.get_parameter("bias")[:carried] = -F.silu(torch.tensor(_STRAIGHT))
        nn.init.zeros_(unet.conv_in.get_parameter("bias"))
    denoiser.copy_encoder_to_controlnet()


def _pass_on(weight_OIHW: torch.Tensor, *, inputs: int) -> None:
    """Average the last `inputs` of the feature maps of a shortcut's input; others stay as drawn."""
    channels = len(weight_OIHW)
    identity = torch.eye(channels)[:, :, None, None] / inputs
    for number in range(1, inputs + 1):
        start = weight_OIHW.shape[1] - number * channels
        weight_OIHW[:, start : start + channels] = identity
