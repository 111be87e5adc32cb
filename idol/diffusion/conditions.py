"""What the denoiser is given of a batch besides its noisy latents (paper, sec. 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Conditions"]


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions of B clips; shape suffixes as in `idol.model.layout`.

    `encoded_foreground_BTD`  tokens of the foreground image as the image encoder wrote them.
    `background_BCHW`         latents of the background with its hole, mid grey or filled.
    `pose_BFCHW`              latents of the drawn skeletons, or for a T2I-Adapter these themselves,
                              in [-1, 1]; None: pre-training has no pose.
    `unconditional_BTD`       tokens that stand for no foreground; None: tokens of zeros.
    """

    encoded_foreground_BTD: Tensor
    background_BCHW: Tensor
    pose_BFCHW: Tensor | None = None
    unconditional_BTD: Tensor | None = None

    def to(self, device: torch.device) -> Conditions:
        """The same on another device."""
        moved = {name: x.to(device) for name, x in vars(self).items() if x is not None}
        return Conditions(**moved)

    def of_windows(self, windows: Sequence[slice]) -> Conditions:
        """The same for windows of the clips' frames, B clips each, one window after the other."""
        pose, count = self.pose_BFCHW, len(windows)
        if count == 1:
            return self if pose is None else replace(self, pose_BFCHW=pose[:, windows[0]])
        several = {k: torch.cat([x] * count) for k, x in vars(self).items() if x is not None}
        if pose is not None:
            several["pose_BFCHW"] = torch.cat([pose[:, window] for window in windows])
        return Conditions(**several)

    def without_foreground(self, dropped_B: Tensor | None = None) -> Conditions:
        """The unconditional branch of classifier-free guidance.

        dropped_B: bool, which clips lose theirs; all of them unless given.
        """
        tokens_BTD, without_BTD = self.encoded_foreground_BTD, self.unconditional_BTD
        if without_BTD is None:
            without_BTD = torch.zeros_like(tokens_BTD)
        if dropped_B is not None:
            without_BTD = torch.where(dropped_B[:, None, None], without_BTD, tokens_BTD)
        return replace(self, encoded_foreground_BTD=without_BTD)

    def with_unconditional(self) -> Conditions:
        """Of 2B clips: all without their foreground, then all with it, for guidance."""
        dropped = self.without_foreground()
        background, pose = self.background_BCHW, self.pose_BFCHW
        return Conditions(
            torch.cat([dropped.encoded_foreground_BTD, self.encoded_foreground_BTD]),
            torch.cat([background, background]),
            None if pose is None else torch.cat([pose, pose]),
        )
