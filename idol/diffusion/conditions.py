"""What the denoiser is given of a batch besides its noisy latents (paper, sec. 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Conditions"]

_OF_FRAMES = frozenset({"pose_BFCHW", "posed_BFCHW", "posed_depth_BFCHW"})


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions of B clips; shape suffixes as in `idol.model.layout`.

    `encoded_foreground_BTD`  tokens of the foreground image as the image encoder wrote them.
    `background_BCHW`         latents of the background with its hole, mid grey or filled.
    `pose_BFCHW`              latents of the drawn skeletons, or for a T2I-Adapter these themselves,
                              in [-1, 1]; None: pre-training has no pose.
    `unconditional_BTD`       tokens that stand for no foreground; None: tokens of zeros.
    `posed_BFCHW`             latents of the background under each frame with the foreground's
                              person over it in the frame's pose; None: the model is not given it.
    `posed_depth_BFCHW`       latents of the depth of the person so laid over it, likewise.
    """

    encoded_foreground_BTD: Tensor
    background_BCHW: Tensor
    pose_BFCHW: Tensor | None = None
    unconditional_BTD: Tensor | None = None
    posed_BFCHW: Tensor | None = None
    posed_depth_BFCHW: Tensor | None = None

    @property
    def place(self) -> Tensor:
        """The background as the denoiser takes it: (B, C, H, W), or (B, F, C, H, W) with the person
        posed in it, or (B, 2, F, C, H, W) with their depth besides."""
        if self.posed_BFCHW is None:
            return self.background_BCHW
        if self.posed_depth_BFCHW is None:
            return self.posed_BFCHW
        return torch.stack([self.posed_BFCHW, self.posed_depth_BFCHW], dim=1)

    def to(self, device: torch.device) -> Conditions:
        """The same on another device."""
        moved = {name: x.to(device) for name, x in vars(self).items() if x is not None}
        return Conditions(**moved)

    def of_windows(self, windows: Sequence[slice]) -> Conditions:
        """The same for windows of the clips' frames, B clips each, one window after the other."""
        count = len(windows)
        several = {k: torch.cat([x] * count) for k, x in vars(self).items() if x is not None}
        for name in _OF_FRAMES & several.keys():
            frames = vars(self)[name]
            several[name] = torch.cat([frames[:, window] for window in windows])
        return Conditions(**several)

    def without_foreground(self, dropped_B: Tensor | None = None) -> Conditions:
        """The unconditional branch of classifier-free guidance: other tokens, the same place.

        dropped_B: bool, which clips lose theirs; all of them unless given.
        """
        tokens_BTD, without_BTD = self.encoded_foreground_BTD, self.unconditional_BTD
        if without_BTD is None:
            without_BTD = torch.zeros_like(tokens_BTD)
        if dropped_B is not None:
            without_BTD = torch.where(dropped_B[:, None, None], without_BTD, tokens_BTD)
        return replace(self, encoded_foreground_BTD=without_BTD)

    def without_posed(
        self, dropped_B: Tensor | None = None, far_CHW: Tensor | None = None
    ) -> Conditions:
        """The same with the background alone in each frame, where somebody was posed in it.

        dropped_B: bool, of which clips; of all of them unless given.
        far_CHW: latents of nobody's depth, where the depth of somebody posed is given.
        """
        posed = self.posed_BFCHW
        if posed is None:
            return self
        nobody = self.background_BCHW[:, None].expand_as(posed)
        if dropped_B is not None:
            nobody = torch.where(dropped_B[:, None, None, None, None], nobody, posed)
        depth = self.posed_depth_BFCHW
        if depth is not None:
            assert far_CHW is not None
            far = far_CHW.to(depth).expand_as(depth)
            if dropped_B is not None:
                far = torch.where(dropped_B[:, None, None, None, None], far, depth)
            depth = far
        return replace(self, posed_BFCHW=nobody, posed_depth_BFCHW=depth)

    def with_unconditional(self) -> Conditions:
        """Of 2B clips: all without their foreground, then all with it, for guidance."""
        dropped = vars(self.without_foreground())
        both = {
            name: torch.cat([dropped[name], x])
            for name, x in vars(self).items()
            if x is not None and name != "unconditional_BTD"
        }
        return Conditions(**both)
