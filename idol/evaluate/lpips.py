"""LPIPS (Zhang et al. 2018): distance of deep features, where its weights are at hand.

Two files: torchvision's VGG-16 or AlexNet trained on ImageNet, and the linear weights of version
0.1, by the names that both are published under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from idol.evaluate.annotate.external import load_tensors
from idol.evaluate.devices import device_of
from idol.evaluate.errors import EvaluationError, MissingNetwork
from shards.files.digest import sha256_file

__all__ = ["LPIPS", "Lpips", "load_lpips"]

NetworkName = Literal["vgg", "alex"]
Scale = Literal["symmetric", "unit"]

# Files in {weights}/lpips: of the network, and of the linear layers.
_FILES: dict[NetworkName, tuple[str, str]] = {
    "vgg": ("vgg16-397923af.pth", "vgg.pth"),
    "alex": ("alexnet-owt-7be5be79.pth", "alex.pth"),
}
# After which layers of `features` they are compared: the last ReLU of each stage.
_TAPS: dict[NetworkName, tuple[int, ...]] = {"vgg": (3, 8, 15, 22, 29), "alex": (1, 4, 7, 9, 11)}
_WIDTHS: dict[NetworkName, tuple[int, ...]] = {
    "vgg": (64, 128, 256, 512, 512),
    "alex": (64, 192, 384, 256, 256),
}
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class LPIPS(nn.Module):
    """Distances of pairs of images in [-1, 1]. In evaluation mode when made."""

    shift: Tensor
    scale: Tensor

    def __init__(self, name: NetworkName = "vgg") -> None:
        super().__init__()
        self._taps = _TAPS[name]
        self.features = _layers(name)
        self.lin = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in _WIDTHS[name])
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
            if number in self._taps:
                unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
                ours, theirs = unit.chunk(2)
                total = total + next(linear)((ours - theirs).square()).mean((1, 2, 3))
        return total

    def load(self, network: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        """Take the state dicts of both files. Raises MissingNetwork where they do not fit."""
        own = {f"features.{k}": v for k, v in _below(network, "features.") if k in self._own()}
        own |= {f"lin.{k[3]}.weight": v for k, v in linear.items() if k.startswith("lin")}
        try:
            self.load_state_dict(own)
        except (RuntimeError, IndexError) as error:
            raise MissingNetwork(f"no weights of LPIPS: {str(error).splitlines()[-1]}") from error

    def _own(self) -> set[str]:
        return set(self.features.state_dict())


def _below(state: Mapping[str, Tensor], prefix: str) -> list[tuple[str, Tensor]]:
    return [(k.removeprefix(prefix), v) for k, v in state.items() if k.startswith(prefix)]


def _layers(name: NetworkName) -> nn.Sequential:
    """As many layers of torchvision's `features` as are looked at, by their numbers there."""
    layers: list[nn.Module]
    if name == "alex":
        layers = [
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, 1, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, 1, 1),
            nn.ReLU(),
        ]
        return nn.Sequential(*layers)
    layers, width = [], 3
    for stage, (count, channels) in enumerate(
        zip((2, 2, 3, 3, 3), (64, 128, 256, 512, 512), strict=True)
    ):
        if stage:
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


def load_lpips(scale: Scale, weights: Path | None, device: str, name: NetworkName = "vgg") -> Lpips:
    """Load it from `{weights}/lpips`.

    Raises MissingNetwork, naming the file, where one is absent or of another network.
    """
    from idol.evaluate.annotate.folder import weights_folder

    folder = weights_folder(weights) / "lpips"
    paths = [folder / file for file in _FILES[name]]
    for path in paths:
        if not path.is_file():
            raise MissingNetwork(
                f"{path} is not there: put torchvision's {_FILES[name][0]} and LPIPS 0.1's "
                f"{_FILES[name][1]} into {folder}"
            )
    module = LPIPS(name)
    module.load(load_tensors(paths[0]), load_tensors(paths[1]))
    where = torch.device(device_of(device))
    sums = {path.name: sha256_file(path) for path in paths}
    return Lpips(module.to(where).requires_grad_(False), scale, where, sums)
