"""Motion fields as images: where features go from frame to frame (sec. 3.2, Fig. 3)."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from idol.losses.literal import motion_field

__all__ = ["colour_motion", "displacements"]


def displacements(features_BFHWC: Tensor) -> Tensor:
    """How far features move from each frame to the next, (B, F - 1, H, W, 2) as (x, y).

    The expected target under the motion field of Eq. 4, the loss's own, with its temperature. At
    that temperature a field is wide, and an expectation over it leans to the middle of the
    image, forward in time as well as backward. So this is half the difference of the two: what
    stands still has none. The unit is a position of the feature map.
    """
    features_BFHWC = features_BFHWC.float()
    height, width, channels = features_BFHWC.shape[2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    positions_L2 = torch.stack([x, y], dim=-1).flatten(0, 1).to(features_BFHWC)
    moved = []
    for clip_FHWC in features_BFHWC:  # one at a time: a field has (HW)^2 entries a frame pair
        forward, backward = (
            motion_field(frames_FHWC[None], channels**-0.5)[0] @ positions_L2
            for frames_FHWC in (clip_FHWC, clip_FHWC.flip(0))
        )
        moved.append(((forward - backward.flip(0)) / 2).unflatten(1, (height, width)))
    return torch.stack(moved)


def colour_motion(displacement_HW2: np.ndarray, longest: float) -> np.ndarray:
    """Colour displacements, (H, W, 3) uint8 RGB: hue is direction, white is none.

    Args:
        longest: the length that has full colour; longer ones do too.
    """
    x, y = displacement_HW2[..., 0], displacement_HW2[..., 1]
    length = np.minimum(np.hypot(x, y) / max(longest, 1e-12), 1)
    hue = (np.degrees(np.arctan2(y, x)) % 360).astype(np.float32)
    hsv = np.stack([hue, length.astype(np.float32), np.ones_like(hue)], axis=-1)
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return (rgb * 255).round().astype(np.uint8)
