"""A start for models that have no weights to start from: preset `tiny`, never the paper's."""

from __future__ import annotations

import torch
from torch import nn

from idol.model.attention import zero_
from idol.model.denoiser import DualModalDenoiser

__all__ = ["start_from_nothing"]

# Coarser levels add little at first, but not nothing: pre-training, which does not train the
# convolutions between the levels, reaches their attention through them.
_FROM_BELOW = 0.1


def start_from_nothing(denoiser: DualModalDenoiser) -> None:
    """Change fresh weights so that the model learns, and can be sampled from, in a few minutes.

    Noise is told from a picture value by value, and a deep network with random weights takes
    thousands of steps to let every value of its input through. So ResBlocks and transformers start
    as their shortcuts, and the finest level carries each value twice, with either sign, because
    SiLU then leaves it as it is: silu(z) - silu(-z) = z. The last convolution starts as giving the
    input, normalised.

    A finest level of less than twice the latent's channels carries as many values as it can.
    """
    for name, module in denoiser.named_modules():
        resblock = name.endswith(".conv2")
        transformer = name.endswith(".proj_out") and ".attentions." in name
        if resblock or transformer:
            zero_(module)
    unet = denoiser.unet
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".upsamplers." in name:
                parameter.mul_(_FROM_BELOW)
        _carry(unet.conv_in.weight)
        _carry(unet.conv_out.weight.transpose(0, 1))
        for number, resnet in enumerate(unet.up_blocks[-1].get_submodule("resnets").children()):
            # What comes from below is other features; within the level, the same as the skip.
            shortcut = resnet.get_submodule("conv_shortcut")
            _pass_on(shortcut.get_parameter("weight"), inputs=1 if number == 0 else 2)
            nn.init.zeros_(shortcut.get_parameter("bias"))
        for convolution in (unet.conv_in, unet.conv_out):
            nn.init.zeros_(convolution.get_parameter("bias"))
    denoiser.copy_encoder_to_controlnet()


def _carry(weight_CLHW: torch.Tensor) -> None:
    """Make a 3x3 convolution take each of L values to two channels, with either sign."""
    channels, values = weight_CLHW.shape[:2]
    half = channels // 2
    carried = torch.eye(half, values)
    weight_CLHW.zero_()
    weight_CLHW[:half, :, 1, 1] = carried
    weight_CLHW[half : 2 * half, :, 1, 1] = -carried


def _pass_on(weight_OIHW: torch.Tensor, *, inputs: int) -> None:
    """Average the last `inputs` of the feature maps of a shortcut's input; others stay as drawn."""
    channels = len(weight_OIHW)
    identity = torch.eye(channels)[:, :, None, None] / inputs
    for number in range(1, inputs + 1):
        start = weight_OIHW.shape[1] - number * channels
        weight_OIHW[:, start : start + channels] = identity
