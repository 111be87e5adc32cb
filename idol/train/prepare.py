"""From a batch of clips to what the denoiser sees: latents and conditions (paper, sec. 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from idol.codec.protocol import LatentCodec
from idol.conditions import Conditions, LatentBatch
from idol.images.protocol import ImageEncoder
from idol.model.config import StageName
from idol.model.layout import DEPTH, VIDEO
from idol.train.noise import Randomness
from shards.stream import ClipBatch
from shards.stream.request import Modality

__all__ = ["MODALITIES", "Preparation"]

# What each stage asks of the shards: pre-training has neither depth nor pose.
MODALITIES: dict[StageName, frozenset[Modality]] = {
    "pretrain": frozenset({"rgb", "reference"}),
    "image": frozenset({"rgb", "depth", "pose", "reference"}),
    "video": frozenset({"rgb", "depth", "pose", "reference"}),
}


@dataclass(frozen=True)
class Preparation:
    """How clips become latents.

    Args:
        size: height and width of the pictures that are encoded, in pixels.
    """

    codec: LatentCodec
    encode_image: ImageEncoder
    size: int

    def __call__(
        self,
        clips: ClipBatch,
        device: torch.device,
        *,
        random: Randomness | None = None,
        positions: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> LatentBatch:
        """Encode pictures of clips of uint8 tensors; those with depth have both modalities.

        Args:
            random, positions: sample the VAE's posteriors and the foregrounds dropped, by the
                samples' places in the order; without them modes are taken and none is dropped.
            dropout: share of foregrounds dropped.
        """
        clips = clips.map(lambda array: array.to(device, non_blocking=True))
        streams = {VIDEO: clips.rgb} | ({} if clips.depth is None else {DEPTH: clips.depth})

        def encode(name: str, pictures: Tensor) -> Tensor:
            return self._encode(pictures, name, random, positions)

        latents = [encode(f"posterior-{label}", stream) for label, stream in streams.items()]
        conditions = Conditions(
            encoded_foreground_BTD=self.encode_image(clips.foreground, clips.foreground_mask),
            background_BCHW=encode("posterior-background", clips.background[:, None])[:, 0],
            pose_BFCHW=None if clips.pose is None else encode("posterior-pose", clips.pose),
        )
        if random is not None and dropout:
            conditions = conditions.without_foreground(
                random.dropped(positions, dropout).to(device)
            )
        return LatentBatch(clips.key, torch.stack(latents, dim=1), conditions, tuple(streams))

    def _encode(
        self, pictures_BFHWC: Tensor, purpose: str, random: Randomness | None, at: Sequence[int]
    ) -> Tensor:
        frames = pictures_BFHWC.shape[1]
        pixels = scale_pictures(pictures_BFHWC.flatten(0, 1), self.size)
        noise = None
        if random is not None and self.codec.stochastic:
            side = self.size // self.codec.factor
            shape = (frames, self.codec.channels, side, side)
            noise = random.normal(purpose, at, shape).flatten(0, 1).to(pixels.device)
        return self.codec.encode(pixels, noise).unflatten(0, (-1, frames))


def scale_pictures(pictures_NHWC: Tensor, size: int) -> Tensor:
    """Resize uint8 pictures to `size` x `size` and scale them: (N, C, size, size) in [-1, 1]."""
    pixels = pictures_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
    height, width = pixels.shape[-2:]
    if (height, width) == (size, size):
        return pixels
    # Averages of whole pixels leave flat regions, and colours that mean depths, as they are.
    mode = "area" if min(height, width) >= size else "bilinear"
    return F.interpolate(pixels, (size, size), mode=mode)
