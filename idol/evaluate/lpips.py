"""LPIPS (Zhang et al. 2018): distance of deep features, where its weights are at hand.

Two files: torchvision's VGG-16 trained on ImageNet, and the linear weights of version 0.1, by the
names that both are published under.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from idol.evaluate.annotate.external import load_tensors
from idol.evaluate.annotate.folder import weights_folder
from idol.evaluate.devices import device_of
from idol.evaluate.errors import EvaluationError, MissingNetwork
from shards.files.digest import sha256_file

__all__ = ["LPIPS", "Lpips", "load_lpips"]

Scale = Literal["symmetric", "unit"]

# In {weights}/lpips: of torchvision's network, and of the linear layers.
_NETWORK, _HEADS = "vgg16-397923af.pth", "vgg.pth"
# After which layers of `features` they are compared: the last ReLU of each stage.
_TAPS = (3, 8, 15, 22, 29)
_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions and their width
_LINEAR = re.compile(r"lin(\d)\.model\.1\.weight")
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class LPIPS(nn.Module):
    """Distances of pairs of images in [-1, 1]. In evaluation mode when made."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = _layers()
        self.lin = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for _, width in _STAGES)
        self.register_buffer("shift", torch.tensor(_SHIFT)[None, :, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[None, :, None, None], persistent=False)
        self.eval()

    def forward(self, images_BCHW: Tensor, others_BCHW: Tensor) -> Tensor:
        """(B,): the sum over stages of the weighted squared difference of unit features, mean over
        places."""
        both = torch.cat([images_BCHW, others_BCHW])
        x = (both - self.shift) / self.scale
        total: Tensor = x.new_zeros(len(images_BCHW))
        linear = iter(self.lin)
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _TAPS:
                unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
                ours, theirs = unit.chunk(2)
                total = total + next(linear)((ours - theirs).square()).mean((1, 2, 3))
        return total

    def load(self, network: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        """Take the state dicts of both files. Raises MissingNetwork where they do not fit."""
        own = {f"features.{k}": v for k, v in _below(network, "features.") if k in self._own()}
        own |= {f"lin.{m[1]}.weight": v for k, v in linear.items() if (m := _LINEAR.fullmatch(k))}
        try:
            self.load_state_dict(own)
        except (RuntimeError, IndexError) as error:
            raise MissingNetwork(f"no weights of LPIPS: {str(error).splitlines()[-1]}") from error

    def _own(self) -> set[str]:
        return set(self.features.state_dict())


def _below(state: Mapping[str, Tensor], prefix: str) -> list[tuple[str, Tensor]]:
    return [(k.removeprefix(prefix), v) for k, v in state.items() if k.startswith(prefix)]


def _layers() -> nn.Sequential:
    """VGG-16's `features`, by their numbers in torchvision, but for the last pooling."""
    layers: list[nn.Module] = []
    width = 3
    for count, channels in _STAGES:
        if layers:
            layers.append(nn.MaxPool2d(2, 2))
        for _ in range(count):
            layers += [nn.Conv2d(width, channels, 3, 1, 1), nn.ReLU()]
            width = channels
    return nn.Sequential(*layers)


@dataclass(frozen=True, eq=False)
class Lpips:
    """LPIPS of two frames on a scale of a protocol's; `checksums` of its files."""

    module: LPIPS
    scale: Scale
    device: torch.device
    checksums: dict[str, str]

    @torch.inference_mode()
    def __call__(self, frame: np.ndarray, reference: np.ndarray) -> float:
        """Of (H, W, 3) uint8 RGB frames of one size."""
        images = [
            torch.from_numpy(np.ascontiguousarray(i)).to(self.device).permute(2, 0, 1)[None] / 255
            for i in (frame, reference)
        ]
        if self.scale == "symmetric":
            images = [image * 2 - 1 for image in images]
        distance = float(self.module(*images))
        if not np.isfinite(distance):
            raise EvaluationError("LPIPS is not finite: its weights are damaged")
        return distance


def load_lpips(scale: Scale, weights: Path | None, device: str) -> Lpips:
    """Load it from `{weights}/lpips`.

    Raises MissingNetwork, naming the file, where one is absent or of another network.
    """
    folder = weights_folder(weights) / "lpips"
    paths = [folder / _NETWORK, folder / _HEADS]
    for path in paths:
        if not path.is_file():
            raise MissingNetwork(
                f"{path} is not there: put torchvision's {_NETWORK} and LPIPS 0.1's {_HEADS} into "
                f"{folder}"
            )
    module = LPIPS()
    module.load(load_tensors(paths[0]), load_tensors(paths[1]))
    where = torch.device(device_of(device))
    sums = {path.name: sha256_file(path) for path in paths}
    return Lpips(module.to(where).requires_grad_(False), scale, where, sums)
