"""Pictures to the moments of a VAE's posterior, for cached latents."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from preprocess.errors import InputError

__all__ = ["Precision", "VAEEncoder"]

Precision = Literal["float32", "float16", "bfloat16"]


class VAEEncoder:
    """diffusers' `AutoencoderKL`, frozen, on one device.

    Args:
        folder: the VAE's, in diffusers' layout; nothing is fetched.
        device: of torch; "auto" is the first GPU, or the CPU without one.
        batch: pictures that pass through it at a time.

    Raises InputError when it cannot be loaded or there is no such device.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        precision: Precision = "float32",
        batch: int = 16,
    ) -> None:
        try:
            from diffusers import AutoencoderKL
        except ImportError as error:
            raise InputError(
                f"encoding needs the extra `train`, with diffusers: {error}"
            ) from error
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            vae = AutoencoderKL.from_pretrained(
                str(folder), local_files_only=True, torch_dtype=getattr(torch, precision)
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"{folder}: no VAE can be loaded from it ({error})") from error
        try:
            self._vae = vae.requires_grad_(False).eval().to(device)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"--device {device} cannot be used: {error}") from error
        self._batch = batch

    @torch.no_grad()
    def moments(self, pixels_NCHW: Tensor) -> np.ndarray:
        """Encode pictures (N, 3, H, W) in [-1, 1]: (N, 2C, h, w) float16 on the CPU.

        Means, then logarithms of variances, unscaled. Raises InputError when not all are finite.
        """
        parts = []
        for part in pixels_NCHW.split(self._batch):
            posterior = self._vae.encode(part.to(self._vae.device, self._vae.dtype)).latent_dist
            moments = torch.cat([posterior.mean, posterior.logvar], dim=1)
            parts.append(moments.float().to("cpu", torch.float16))
        moments = torch.cat(parts)
        if not moments.isfinite().all():
            raise InputError("the VAE gave values that are not finite: use --precision float32")
        return moments.numpy()
