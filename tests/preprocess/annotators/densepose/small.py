"""A TorchScript program with the outputs of DensePose, whose answers are known."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

GRID = 4  # of the maps; published 112


class Stand(nn.Module):
    """It finds a person around what is bluest, and says where the image's channels are.

    The body is all of the box but the grid's left column. Its upper half is part 1, its lower part
    2; U and V of part p are p eighths and p fourths.
    """

    def __init__(self, scores: tuple[float, ...] = (0.9,), fine: int = 25) -> None:
        super().__init__()
        self.scores = torch.nn.Parameter(torch.tensor(scores))
        self.fine = fine

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        people = self.scores.shape[0]
        blue = (image[0] > 128) & (image[2] < 128)
        where = torch.nonzero(blue)
        if len(where) == 0:
            people = 0
        low = where.min(0).values.float() if people else torch.zeros(2)
        high = where.max(0).values.float() + 1 if people else torch.zeros(2)
        box = torch.stack([low[1], low[0], high[1], high[0]])
        coarse = torch.zeros(people, 2, 4, 4)
        coarse[:, 1, :, 1:] = 1
        coarse[:, 0, :, 0] = 1
        fine = torch.zeros(people, self.fine, 4, 4)
        fine[:, 1, :2] = 1
        fine[:, 2, 2:] = 1
        parts = torch.arange(self.fine)[None, :, None, None].expand(people, self.fine, 4, 4)
        return {
            "pred_boxes": box.expand(people, 4),
            "scores": self.scores[:people],
            "pred_classes": torch.zeros(people),
            "pred_densepose_coarse_segm": coarse,
            "pred_densepose_fine_segm": fine,
            "pred_densepose_u": parts / 8,
            "pred_densepose_v": parts / 4,
        }


class Bare(nn.Module):
    """The same without names and scores."""

    def __init__(self) -> None:
        super().__init__()
        self.stand = Stand()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        found = self.stand(image)
        return (
            found["pred_boxes"],
            found["pred_densepose_coarse_segm"],
            found["pred_densepose_fine_segm"],
            found["pred_densepose_u"],
            found["pred_densepose_v"],
        )


def save(path: Path, program: nn.Module | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
        torch.jit.script(program or Stand()).save(str(path))
    return path
