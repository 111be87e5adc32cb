"""What the denoiser is given of a batch besides its noisy latents (paper, sec. 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Conditions"]


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions of B clips; shape suffixes as in `idol.model.layout`.

    `encoded_foreground_BTD`  tokens of the foreground image as the image encoder wrote them.
    `background_BCHW`         latents of the background with its mid-grey hole.
    `pose_BFCHW`              latents of the drawn skeletons, or None (pre-training has no pose).
    """

    encoded_foreground_BTD: Tensor
    background_BCHW: Tensor
    pose_BFCHW: Tensor | None = None

    def to(self, device: torch.device) -> Conditions:
        """The same on another device."""
        return Conditions(
            self.encoded_foreground_BTD.to(device),
            self.background_BCHW.to(device),
            None if self.pose_BFCHW is None else self.pose_BFCHW.to(device),
        )

    def of_frames(self, frames: slice) -> Conditions:
        """The same for these frames of the clips."""
        pose = self.pose_BFCHW
        return self if pose is None else replace(self, pose_BFCHW=pose[:, frames])

    def without_foreground(self, dropped_B: Tensor | None = None) -> Conditions:
        """The unconditional branch of classifier-free guidance: tokens of zeros.

        dropped_B: bool, which clips lose theirs; all of them unless given.
        """
        tokens_BTD = self.encoded_foreground_BTD
        if dropped_B is None:
            return replace(self, encoded_foreground_BTD=torch.zeros_like(tokens_BTD))
        kept_BTD = tokens_BTD.masked_fill(dropped_B[:, None, None], 0)
        return replace(self, encoded_foreground_BTD=kept_BTD)

    def with_unconditional(self) -> Conditions:
        """Of 2B clips: all without their foreground, then all with it, for guidance."""
        dropped = self.without_foreground()
        background, pose = self.background_BCHW, self.pose_BFCHW
        return Conditions(
            torch.cat([dropped.encoded_foreground_BTD, self.encoded_foreground_BTD]),
            torch.cat([background, background]),
            None if pose is None else torch.cat([pose, pose]),
        )
