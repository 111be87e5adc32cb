"""LDM3D (Tab. 1, 2 and 7): one stream, whose latents hold colour and depth together.

An autoencoder of four channels, colours and depth (`idol-train --stage autoencoder
--autoencoder.depth`; of Stable Diffusion's, fine-tuned from --base), then the paper's 3D U-Net and
ControlNet on its latents. So there is no second stream, no label of it, and nothing to compare.
Backgrounds and skeletons have no depth: they are encoded with white, which is farthest (we).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from idol.encoders import LatentCodec, VAECodec
from idol.encoders.joint import joined, parted

__all__ = ["decode_both", "encode_both", "holds_depth"]


def holds_depth(codec: LatentCodec) -> bool:
    """Whether a codec's latents hold colour and depth."""
    return isinstance(codec, VAECodec) and codec.holds_depth


def encode_both(
    codec: LatentCodec, frames_NCHW: Tensor, depth_NCHW: Tensor, noise_NCHW: Tensor | None = None
) -> Tensor:
    """Frames and depth pictures, (N, 3, H, W) in [-1, 1] each, as latents of both."""
    return codec.encode(joined(frames_NCHW, depth_NCHW), noise_NCHW)


def decode_both(
    codec: LatentCodec, latents_NCHW: Tensor, kind: Literal["person", "frame"]
) -> tuple[Tensor, Tensor]:
    """The inverse: frames, and pictures of this kind of depth, (N, 3, H, W) each; the person's are
    in `hot`, the whole frame's in grey."""
    return parted(codec.decode(latents_NCHW).float(), "hot" if kind == "person" else "grey")
