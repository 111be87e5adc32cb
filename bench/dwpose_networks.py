"""ONNX files of the sizes of DWPose's two networks, with random weights: YOLOX-l and RTMPose-l.

Built layer by layer as their papers describe them (Ge et al., 2021; Jiang et al., 2023, without
its small attention unit), since the published files may not be there. The detector finds one
person, in the middle of each image; everything else that it sees is below any threshold.
"""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

__all__ = ["write_detector", "write_pose"]

DETECTOR_SIDE = 640
POSE_SIZE = (384, 288)
JOINTS = 133


def conv(before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        nn.SiLU(),
    )


class Block(nn.Module):
    """A bottleneck; `depthwise` as CSPNeXt has it."""

    def __init__(self, width: int, *, depthwise: bool, adds: bool) -> None:
        super().__init__()
        self.adds = adds
        self.layers = (
            nn.Sequential(
                conv(width, width, 3), conv(width, width, 5, groups=width), conv(width, width)
            )
            if depthwise
            else nn.Sequential(conv(width, width), conv(width, width, 3))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(x)
        return x + found if self.adds else found


class Csp(nn.Module):
    """Two ways through half of the channels, of which one has the blocks."""

    def __init__(
        self, before: int, after: int, count: int, *, depthwise: bool = False, adds: bool = True
    ) -> None:
        super().__init__()
        half = after // 2
        self.main, self.short = conv(before, half), conv(before, half)
        blocks = [Block(half, depthwise=depthwise, adds=adds) for _ in range(count)]
        self.blocks = nn.Sequential(*blocks)
        self.last = conv(after, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([self.blocks(self.main(x)), self.short(x)], 1)
        last: torch.Tensor = self.last(both)
        return last


class Pyramid(nn.Module):
    """Pooling at three sizes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.after = conv(width, width // 2), conv(width * 2, width)
        self.pools = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in (5, 9, 13))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        after: torch.Tensor = self.after(torch.cat([x, *(pool(x) for pool in self.pools)], 1))
        return after


def trunk(first: nn.Module, counts: tuple[int, ...], *, depthwise: bool) -> nn.ModuleList:
    """From 64 channels at half the size to 1024 at a 32nd."""
    stages = [first]
    for number, count in enumerate(counts):
        width = 64 << number
        last = number == len(counts) - 1
        stages.append(
            nn.Sequential(
                conv(width, 2 * width, 3, 2),
                *([Pyramid(2 * width)] if last else []),
                Csp(2 * width, 2 * width, count, depthwise=depthwise, adds=not last),
            )
        )
    return nn.ModuleList(stages)


class Detector(nn.Module):
    """(N, 3, 640, 640) -> (N, 8400, 85)."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = trunk(conv(12, 64, 3), (3, 9, 9, 3), depthwise=False)
        self.lateral, self.reduce = conv(1024, 512), conv(512, 256)
        self.up4, self.up3 = Csp(1024, 512, 3, adds=False), Csp(512, 256, 3, adds=False)
        self.down3, self.down4 = conv(256, 256, 3, 2), conv(512, 512, 3, 2)
        self.out4, self.out5 = Csp(512, 512, 3, adds=False), Csp(1024, 1024, 3, adds=False)
        self.stems = nn.ModuleList(conv(width, 256) for width in (256, 512, 1024))
        self.kinds, self.places = (
            nn.ModuleList(nn.Sequential(conv(256, 256, 3), conv(256, 256, 3)) for _ in range(3))
            for _ in range(2)
        )
        self.kind_of, self.place_of = (
            nn.ModuleList(nn.Conv2d(256, channels, 1) for _ in range(3)) for channels in (80, 5)
        )
        # Of stride 32, in the middle: half as wide as the image, and nearly as high.
        self.person = 80 * 80 + 40 * 40 + 10 * 20 + 10

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.cat([images[..., i::2, j::2] for j in (0, 1) for i in (0, 1)], 1)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        third, fourth, fifth = found[-3:]
        fifth = self.lateral(fifth)
        larger = nn.functional.interpolate(fifth, scale_factor=2.0)
        fourth = self.reduce(self.up4(torch.cat([larger, fourth], 1)))
        larger = nn.functional.interpolate(fourth, scale_factor=2.0)
        third = self.up3(torch.cat([larger, third], 1))
        fourth = self.out4(torch.cat([self.down3(third), fourth], 1))
        fifth = self.out5(torch.cat([self.down4(fourth), fifth], 1))
        rows = []
        for n, level in enumerate((third, fourth, fifth)):
            stem = self.stems[n](level)
            places, kinds = self.places[n](stem), self.kinds[n](stem)
            both = torch.cat([self.place_of[n](places), self.kind_of[n](kinds).sigmoid() * 0.1], 1)
            rows.append(both.flatten(2).transpose(1, 2))
        out = torch.cat(rows, 1)
        only = torch.zeros(1, 8400, 1)
        only[0, self.person] = 1
        person = torch.zeros(1, 1, 85)
        person[0, 0, :6] = torch.tensor([0.5, 0.5, 2.3, 2.9, 1.0, 1.0])
        return out * (1 - only) * 0.1 + only * person


class Pose(nn.Module):
    """(N, 3, 384, 288) -> places of joints in x, (N, 133, 576), and in y, (N, 133, 768)."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(conv(3, 32, 3, 2), conv(32, 32, 3), conv(32, 64, 3))
        self.stages = trunk(first, (3, 6, 6, 3), depthwise=True)
        height, width = POSE_SIZE
        self.last = nn.Conv2d(1024, JOINTS, 7, padding=3)
        self.mixed = nn.Linear(height * width // 32**2, 256, bias=False)
        self.x, self.y = (nn.Linear(256, 2 * side, bias=False) for side in (width, height))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = images
        for stage in self.stages:
            x = stage(x)
        mixed = self.mixed(self.last(x).flatten(2))
        return self.x(mixed), self.y(mixed)


def write_detector(path: Path) -> Path:
    return _write(Detector(), (2, 3, DETECTOR_SIDE, DETECTOR_SIDE), path, ["output"])


def write_pose(path: Path) -> Path:
    return _write(Pose(), (2, 3, *POSE_SIZE), path, ["simcc_x", "simcc_y"])


def _write(module: nn.Module, shape: tuple[int, ...], path: Path, outputs: list[str]) -> Path:
    torch.manual_seed(0)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter)
    # The package `onnx` is asked for after the export, for functions that no network here has.
    ours = "torch.onnx._internal.torchscript_exporter.onnx_proto_utils._add_onnxscript_fn"
    with patch(ours, lambda data, _: data):
        torch.onnx.export(
            module.eval(),
            (torch.zeros(shape),),
            str(path),
            input_names=["input"],
            output_names=outputs,
            dynamic_axes={name: {0: "images"} for name in ("input", *outputs)},
            dynamo=False,
        )
    return path
