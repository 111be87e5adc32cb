"""I3D, the network behind FVD: inflated Inception-v1 (Carreira and Zisserman, 2017).

Parameters have the names of the public PyTorch port (`i3d_pretrained_400.pt`); the weights that a
package registry serves are of the same network in JAX's layout, and `state_from_flax` renames them.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idol.evaluate.errors import EvaluationError

__all__ = ["I3D", "state_from_flax"]

_EPS = 1e-3

# Channels of a block's four branches: 1x1; 1x1 and 3x3; 1x1 and 3x3; pool and 1x1.
_BLOCKS: dict[str, tuple[int, tuple[int, int, int, int, int, int]]] = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}

# The names of a branch's convolutions in the JAX weights.
_FLAX_BRANCHES = {
    "b0": "Branch_0/Conv3d_0a_1x1",
    "b1a": "Branch_1/Conv3d_0a_1x1",
    "b1b": "Branch_1/Conv3d_0b_3x3",
    "b2a": "Branch_2/Conv3d_0a_1x1",
    "b2b": "Branch_2/Conv3d_0b_3x3",
    "b3b": "Branch_3/Conv3d_0b_1x1",
}
_FLAX_LOGITS = "Logits/Conv3d_0c_1x1"


class I3D(nn.Module):
    """Kinetics-400 logits of clips, averaged over time (method: FVD).

    It must be in evaluation mode, which it is when made: batch normalisation by stored statistics.

    Args:
        classes: 400 for Kinetics-400.
    """

    def __init__(self, classes: int = 400) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = _Unit(3, 64, 7, stride=2)
        self.Conv3d_2b_1x1 = _Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = _Unit(64, 192, 3)
        for name, (inputs, widths) in _BLOCKS.items():
            self.add_module(name, _Mixed(inputs, widths))
        self.logits = _Unit(1024, classes, 1, normalised=False)
        self.eval()

    def forward(self, video_BCTHW: Tensor) -> Tensor:
        """(B, classes) logits of RGB clips in [-1, 1], (B, 3, T, 224, 224), T of 1 or more."""
        x = self.Conv3d_1a_7x7(video_BCTHW)
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(_pool(x, (1, 3, 3), (1, 2, 2))))
        x = _pool(x, (1, 3, 3), (1, 2, 2))
        for name in _BLOCKS:
            if name == "Mixed_4b":
                x = _pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = _pool(x, (2, 2, 2), (2, 2, 2))
            x = self.get_submodule(name)(x)
        # A clip of up to eight frames has one moment left here, where two would be averaged.
        x = F.avg_pool3d(x, (min(2, x.shape[2]), 7, 7), stride=1)
        return self.logits(x).mean((2, 3, 4))


class _Unit(nn.Module):
    """Convolution, batch normalisation, ReLU; or a convolution with bias alone."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, normalised: bool = True
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=not normalised)
        self.bn = nn.BatchNorm3d(outputs, eps=_EPS) if normalised else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3d(_pad_same(x, self.conv3d.kernel_size, self.conv3d.stride))
        return x if self.bn is None else F.relu(self.bn(x))


class _Mixed(nn.Module):
    """An Inception block: four branches side by side."""

    def __init__(self, inputs: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, reduce_a, three_a, reduce_b, three_b, pooled = widths
        self.b0 = _Unit(inputs, one, 1)
        self.b1a, self.b1b = _Unit(inputs, reduce_a, 1), _Unit(reduce_a, three_a, 3)
        self.b2a, self.b2b = _Unit(inputs, reduce_b, 1), _Unit(reduce_b, three_b, 3)
        self.b3b = _Unit(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        branches = (
            self.b0(x),
            self.b1b(self.b1a(x)),
            self.b2b(self.b2a(x)),
            self.b3b(_pool(x, (3, 3, 3), (1, 1, 1))),
        )
        return torch.cat(branches, dim=1)


def state_from_flax(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict of `I3D` from the JAX weights: {"params": ..., "batch_stats": ...} of arrays.

    Kernels are (T, H, W, in, out) there, and batch normalisation has no scale: it is 1.

    Raises EvaluationError when an array is missing or is none.
    """
    state = {}
    for name, module in I3D().named_modules():
        if isinstance(module, _Unit):
            path = _flax_path(name)
            kernel = _tensor(checkpoint, "params", *path, "Conv_0", "kernel")
            state[f"{name}.conv3d.weight"] = kernel.permute(4, 3, 0, 1, 2).contiguous()
            if module.bn is None:
                bias = _tensor(checkpoint, "params", *path, "Conv_0", "bias")
                state[f"{name}.conv3d.bias"] = bias.flatten()
                continue
            shift = _tensor(checkpoint, "params", *path, "BatchNorm_0", "bias").flatten()
            mean = _tensor(checkpoint, "batch_stats", *path, "BatchNorm_0", "mean").flatten()
            variance = _tensor(checkpoint, "batch_stats", *path, "BatchNorm_0", "var").flatten()
            state[f"{name}.bn.weight"] = torch.ones_like(shift)
            state[f"{name}.bn.bias"] = shift
            state[f"{name}.bn.running_mean"] = mean
            state[f"{name}.bn.running_var"] = variance
            state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    return state


def _flax_path(name: str) -> tuple[str, ...]:
    if name == "logits":
        return (_FLAX_LOGITS,)
    block, _, branch = name.partition(".")
    return (block, _FLAX_BRANCHES[branch]) if branch else (block,)


def _tensor(checkpoint: Mapping[str, Any], *path: str) -> Tensor:
    found: Any = checkpoint
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            raise EvaluationError(f"the weights of I3D have no array {'/'.join(path)}")
        found = found[key]
    if not hasattr(found, "dtype"):
        raise EvaluationError(f"the weights of I3D have no array at {'/'.join(path)}")
    return torch.from_numpy(found.astype("float32"))


def _pad_same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Zeros so that ceil(size / stride) outputs come out, the odd one at the end (TensorFlow's)."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        short = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [short // 2, short - short // 2]
    return F.pad(x, pads) if any(pads) else x


def _pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Maximum; the zeros of the border never win, since what is pooled is positive or 0."""
    return F.max_pool3d(_pad_same(x, kernel, stride), kernel, stride)
