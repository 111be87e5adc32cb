"""HDNet's hourglass network: the TensorFlow 1 graph, exactly.

Shapes are suffixes of names: N images, C channels, H rows, W columns.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

__all__ = ["CONVOLUTIONS", "HourglassNetwork"]

CONVOLUTIONS = 18
_EPSILON = 1e-3
_DOWN = (64, 128, 256, 512)  # channels kept for the way up, at full to eighth size


class HourglassNetwork(nn.Module):
    """17 x (3x3 convolution, normalisation, ReLU) down to a sixteenth and up again, then 1x1.

    `forward` maps (N, in_channels, H, W) to (N, out_channels, H, W), both float; H and W must be
    multiples of 16. An image's result does not depend on the others in its batch. The children
    `conv1` ... `conv18` are named after the checkpoint's variables.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        first, second, third, fourth = _DOWN
        bottom = 2 * fourth
        widths = [
            *((in_channels, first), (first, first), (first, first)),
            *((first, second), (second, third), (third, fourth)),
            *((fourth, bottom), (bottom, bottom), (bottom, fourth)),
            *((2 * fourth, fourth), (fourth, third)),
            *((2 * third, third), (third, second)),
            *((2 * second, second), (second, first)),
            *((2 * first, first), (first, first)),
        ]
        for number, (before, after) in enumerate(widths, start=1):
            self.add_module(f"conv{number}", _NormalizedConvolution(before, after))
        self.add_module(f"conv{CONVOLUTIONS}", nn.Conv2d(first, out_channels, 1))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Raises ValueError when the number of channels, the height or the width does not fit."""
        _, channels, height, width = x_NCHW.shape
        if channels != self.in_channels or height % 16 or width % 16:
            raise ValueError(
                f"an hourglass of {self.in_channels} channels got {tuple(x_NCHW.shape)}: it takes "
                f"(N, {self.in_channels}, H, W) with H and W multiples of 16"
            )
        x = self._run(x_NCHW, 1, 2, 3)
        skips = [x]
        for number in (4, 5, 6):
            x = self._run(max_pool2d(x, 2), number)
            skips.append(x)
        x = self._run(max_pool2d(x, 2), 7, 8, 9)
        for number in (10, 12, 14, 16):
            x = self._run(torch.cat([_upsample(x), skips.pop()], 1), number, number + 1)
        return self._run(x, CONVOLUTIONS)

    def _run(self, x: Tensor, *numbers: int) -> Tensor:
        for number in numbers:
            x = self.get_submodule(f"conv{number}")(x)
        return x


class _NormalizedConvolution(nn.Conv2d):
    """Convolution, batch normalisation on the image's own statistics without a scale, ReLU.

    The reference normalises by batch statistics at inference and was only ever run on one image
    at a time, so statistics are per image; the moving averages in its checkpoints are never used.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.beta = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        # From raw 0-255 images the variance may be beyond what float16 can hold.
        x = super().forward(x_NCHW).float()
        variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
        scale = torch.rsqrt(variance + _EPSILON)
        return torch.addcmul(self.beta[:, None, None] - mean * scale, x, scale).relu_()


def _upsample(x_NCHW: Tensor) -> Tensor:
    """TensorFlow 1's bilinear x2 (corners not aligned, pixel centres at integers): even rows and
    columns are copies, odd ones the mean of their neighbours, the last one clamped."""
    for dim in (3, 2):
        last = x_NCHW.narrow(dim, x_NCHW.shape[dim] - 1, 1)
        following = torch.cat([x_NCHW.narrow(dim, 1, x_NCHW.shape[dim] - 1), last], dim)
        between = (x_NCHW + following) / 2
        x_NCHW = torch.stack([x_NCHW, between], dim + 1).flatten(dim, dim + 1)
    return x_NCHW
