"""Inception-v3 as FID has it: TensorFlow's of 2015-12-05, 2048 pooled features.

It is not torchvision's: averages leave the border out, and the last block pools by maximum. The
weights come from a TorchScript file, of which only the tensors are used: batch normalisation is
folded into the convolutions, which makes the network faster, and nothing in the file is run.
"""

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idol.evaluate.errors import EvaluationError

__all__ = ["FEATURES", "Inception", "fold_normalisation"]

FEATURES = 2048

_EPS = 1e-3


class Inception(nn.Module):
    """Pooled features of images. In evaluation mode when made; there is no other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = _Conv(3, 32, 3, stride=2)
        self.conv_1 = _Conv(32, 32, 3)
        self.conv_2 = _Conv(32, 64, 3, padding=1)
        self.conv_3 = _Conv(64, 80, 1)
        self.conv_4 = _Conv(80, 192, 3)
        self.mixed = _block_35(192, 32)
        self.mixed_1 = _block_35(256, 64)
        self.mixed_2 = _block_35(288, 64)
        self.mixed_3 = _block_35_to_17()
        self.mixed_4 = _block_17(128)
        self.mixed_5 = _block_17(160)
        self.mixed_6 = _block_17(160)
        self.mixed_7 = _block_17(192)
        self.mixed_8 = _block_17_to_8()
        self.mixed_9 = _Block8(1280, nn.AvgPool2d(3, 1, 1, count_include_pad=False))
        self.mixed_10 = _Block8(2048, nn.MaxPool2d(3, 1, 1))
        self.eval()

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """(B, 2048) features of RGB images in [-1, 1], (B, 3, 299, 299)."""
        x = self.conv_2(self.conv_1(self.conv(images_BCHW)))
        x = self.conv_4(self.conv_3(F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        for number in range(11):
            x = self.get_submodule(f"mixed_{number}" if number else "mixed")(x)
        return x.mean((2, 3))


def fold_normalisation(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of `Inception` from that of the TorchScript file.

    There a convolution has `weight`, and its batch normalisation `beta`, `mean` and `var`, no
    scale. Names may stand behind `net.layers.`.

    Raises EvaluationError where one of the four is missing.
    """
    folded = {}
    for name, weight in state.items():
        unit, _, kind = name.rpartition(".")
        if kind != "weight":
            continue
        try:
            beta, mean, var = (state[f"{unit}.{key}"] for key in ("beta", "mean", "var"))
        except KeyError as error:
            raise EvaluationError(f"the weights of Inception have no {error.args[0]}") from error
        scale = (var.double() + _EPS).rsqrt()
        bare = unit.removeprefix("net.").removeprefix("layers.")
        folded[f"{bare}.weight"] = (weight.double() * scale[:, None, None, None]).float()
        folded[f"{bare}.bias"] = (beta.double() - mean.double() * scale).float()
    return folded


class _Conv(nn.Conv2d):
    """A convolution with the batch normalisation folded in, and ReLU."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu_(super().forward(input))


class _Branches(nn.ModuleDict):
    """Branches side by side, their channels joined."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.values()], dim=1)


class _Block8(nn.Module):
    """A block at 8 x 8, where two branches fork once more."""

    def __init__(self, inputs: int, pool: nn.Module) -> None:
        super().__init__()
        self.conv = _Conv(inputs, 320, 1)
        self.tower_conv = _Conv(inputs, 384, 1)
        self.tower_mixed_conv = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.tower_mixed_conv_1 = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.tower_1_conv = _Conv(inputs, 448, 1)
        self.tower_1_conv_1 = _Conv(448, 384, 3, padding=1)
        self.tower_1_mixed_conv = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.tower_1_mixed_conv_1 = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.tower_2_pool = pool
        self.tower_2_conv = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.tower_conv(x)
        b = self.tower_1_conv_1(self.tower_1_conv(x))
        branches = (
            self.conv(x),
            self.tower_mixed_conv(a),
            self.tower_mixed_conv_1(a),
            self.tower_1_mixed_conv(b),
            self.tower_1_mixed_conv_1(b),
            self.tower_2_conv(self.tower_2_pool(x)),
        )
        return torch.cat(branches, dim=1)


def _tower(*convolutions: _Conv, pool: nn.Module | None = None) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if pool is not None:
        layers["pool"] = pool
    for number, convolution in enumerate(convolutions):
        layers[f"conv_{number}" if number else "conv"] = convolution
    return nn.Sequential(layers)


def _pooled(inputs: int, outputs: int) -> nn.Sequential:
    return _tower(_Conv(inputs, outputs, 1), pool=nn.AvgPool2d(3, 1, 1, count_include_pad=False))


def _block_35(inputs: int, pooled: int) -> _Branches:
    return _Branches(
        {
            "conv": _Conv(inputs, 64, 1),
            "tower": _tower(_Conv(inputs, 48, 1), _Conv(48, 64, 5, padding=2)),
            "tower_1": _tower(
                _Conv(inputs, 64, 1), _Conv(64, 96, 3, padding=1), _Conv(96, 96, 3, padding=1)
            ),
            "tower_2": _pooled(inputs, pooled),
        }
    )


def _block_35_to_17() -> _Branches:
    return _Branches(
        {
            "conv": _Conv(288, 384, 3, stride=2),
            "tower": _tower(
                _Conv(288, 64, 1), _Conv(64, 96, 3, padding=1), _Conv(96, 96, 3, stride=2)
            ),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def _block_17(width: int) -> _Branches:
    return _Branches(
        {
            "conv": _Conv(768, 192, 1),
            "tower": _tower(_Conv(768, width, 1), _wide(width, width), _tall(width, 192)),
            "tower_1": _tower(
                _Conv(768, width, 1),
                _tall(width, width),
                _wide(width, width),
                _tall(width, width),
                _wide(width, 192),
            ),
            "tower_2": _pooled(768, 192),
        }
    )


def _block_17_to_8() -> _Branches:
    return _Branches(
        {
            "tower": _tower(_Conv(768, 192, 1), _Conv(192, 320, 3, stride=2)),
            "tower_1": _tower(
                _Conv(768, 192, 1), _wide(192, 192), _tall(192, 192), _Conv(192, 192, 3, stride=2)
            ),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def _wide(inputs: int, outputs: int) -> _Conv:
    return _Conv(inputs, outputs, (1, 7), padding=(0, 3))


def _tall(inputs: int, outputs: int) -> _Conv:
    return _Conv(inputs, outputs, (7, 1), padding=(3, 0))
