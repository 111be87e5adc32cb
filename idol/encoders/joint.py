"""Pictures of colour and depth together: three channels of colours, and one of depth.

The fourth channel is the lightness of the depth picture, the mean of its red, green and blue: along
`hot` and along grey it rises with depth (or falls, where near is white), and says it exactly.
"""

from typing import Literal

import torch
from torch import Tensor

__all__ = ["JOINT_CHANNELS", "joined", "parted", "with_farthest"]

JOINT_CHANNELS = 4


def joined(frames_NCHW: Tensor, depth_NCHW: Tensor) -> Tensor:
    """Frames and depth pictures, (N, 3, H, W) in [-1, 1], as (N, 4, H, W)."""
    return torch.cat([frames_NCHW, depth_NCHW.mean(dim=1, keepdim=True)], dim=1)


def with_farthest(pictures_NCHW: Tensor) -> Tensor:
    """Pictures without a depth, such as a background, with white: farthest, as depth mostly is.

    Of data that are white near by (`DepthMeaning.near_white`) it is as constant, and means nothing.
    """
    return torch.cat([pictures_NCHW, torch.ones_like(pictures_NCHW[:, :1])], dim=1)


def parted(joint_NCHW: Tensor, colours: Literal["hot", "grey"]) -> tuple[Tensor, Tensor]:
    """Frames, and depth pictures in these colours: the inverse of `joined` for such pictures.

    Args:
        joint_NCHW: (N, 4, H, W), in [-1, 1]; lightness beyond is taken as the bound.

    Returns:
        Both (N, 3, H, W).
    """
    frames, lightness = joint_NCHW[:, :3], joint_NCHW[:, 3:]
    if colours == "grey":
        return frames, lightness.expand_as(frames)
    # Red rises first, from nothing to all, then green, then blue.
    total = (lightness.clamp(-1, 1) + 1) * 1.5
    first = torch.arange(3, device=joint_NCHW.device).view(3, 1, 1)
    return frames, (total - first).clamp(0, 1) * 2 - 1
