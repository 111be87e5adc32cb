"""The noise and chance of what a denoiser is trained, validated and shown with.

Others are functions of seed and place likewise: the order of clips (`shards.stream.order`), their
crops and strides (`shards.stream`), the squares of stage autoencoder (`idol.train.autoencoder`),
the noise between a student's steps in its sample images (`idol.train.samples`), and MM-Diffusion's
shifts (`idol.variants.mm_diffusion`).

In training it is a function of (seed, purpose, position): the position of a sample is its number in
the stream's order, over all ranks and steps. What clips are measured or shown with is a function of
a name, such as the clip's key. Nothing is carried from step to step, so that ranks, micro-batches,
devices and restarts change nothing.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from idol.config.model import TIMESTEPS
from shards.stream.random import Draws

__all__ = ["Randomness", "named_noise", "sent"]


@dataclass(frozen=True)
class Randomness:
    """Draws for samples at `positions`; every tensor is made on the CPU, float32."""

    seed: int

    def timesteps(self, positions: Sequence[int], count: int = TIMESTEPS) -> Tensor:
        """(B,) int64 in [0, count): one for a clip, its frames and both its modalities."""
        draws = [Draws(self.seed, "timestep", p).integer(0, count - 1) for p in positions]
        return torch.tensor(draws)

    def dropped(
        self,
        positions: Sequence[int],
        probability: float,
        *,
        together: bool = False,
        purpose: str = "dropout",
    ) -> Tensor:
        """(B,) bool: which samples lose their foreground, for guidance, or something else.

        together: all of them or none, by the first one's draw.
        """
        if together:
            positions = [positions[0]] * len(positions)
        draws = [Draws(self.seed, purpose, p).chance(probability) for p in positions]
        return torch.tensor(draws)

    def normal(self, purpose: str, positions: Sequence[int], shape: Sequence[int]) -> Tensor:
        """(B, *shape) standard normal, independent in every element, position and purpose."""
        out = np.empty((len(positions), math.prod(shape)), np.float32)
        for row, position in zip(out, positions, strict=True):
            self._generator(purpose, position).standard_normal(dtype=np.float32, out=row)
        return torch.from_numpy(out).unflatten(1, tuple(shape))

    def _generator(self, purpose: str, position: int) -> np.random.Generator:
        key = hashlib.blake2b(repr((self.seed, purpose, position)).encode(), digest_size=16)
        return np.random.Generator(np.random.Philox(key=int.from_bytes(key.digest(), "little")))


def sent(drawn: Tensor, device: torch.device | str) -> Tensor:
    """What was drawn, on a device, without waiting until that has done what it was given before."""
    device = torch.device(device)
    if device.type == "cuda":
        drawn = drawn.pin_memory()
    return drawn.to(device, non_blocking=device.type in ("cuda", "meta"))


def named_noise(name: str, shape: Sequence[int]) -> Tensor:
    """Standard normal noise of `shape`, float32 on the CPU: always the same for the same name."""
    digest = hashlib.sha256(name.encode()).digest()
    # torch's generator on the CPU takes 64 bits, and tells apart the lower ones of them alone.
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))
    return torch.randn(*shape, generator=generator)
