"""Denoisers whose answer is known, and what they are asked about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from idol.diffusion.conditions import Conditions
from idol.model.unet import DenoiserOutput


class Stub:
    """Answers `answer(latents, timesteps, tokens)` and remembers what it was called with."""

    def __init__(self, answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []

    def __call__(
        self,
        latents: Tensor,
        timesteps: Tensor,
        tokens: Tensor,
        background: Tensor,
        pose: Tensor | None,
        *,
        modalities: tuple[int, ...],
        return_features: bool,
    ) -> DenoiserOutput:
        self.calls.append(
            {
                "latents": latents,
                "timesteps": timesteps,
                "tokens": tokens,
                "background": background,
                "pose": pose,
                "modalities": modalities,
            }
        )
        return DenoiserOutput(self.answer(latents, timesteps, tokens), ())


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def conditions(clips: int = 2, frames: int = 3, pose: bool = True) -> Conditions:
    return Conditions(
        draw(clips, 5, 20, seed=1),
        draw(clips, 4, 8, 8, seed=2),
        draw(clips, frames, 4, 8, 8, seed=3) if pose else None,
    )
