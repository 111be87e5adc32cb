"""Lite depth: honest geometry from pose. Derived from joints, not measured from the image.

A pose network's landmarks say where the joints are; capsules around them say where the front of
the body is; the mask says where the person ends. It knows nothing of faces, folds or held things.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from preprocess.annotators.lite.depth.capsules import body_capsules, fit_girth, front_surface
from preprocess.annotators.lite.depth.motion import CUTOFF_HZ, BodyPose, body_motion

__all__ = ["lite_depth"]

# Above this a mask pixel is the person's.
_FOREGROUND = 127
# Rounds the seams where one capsule passes into another.
_BLUR_METRES = 0.005


def lite_depth(
    poses: Sequence[BodyPose | None],
    masks: np.ndarray,
    *,
    fps: float = 30.0,
    cutoff_hz: float | None = CUTOFF_HZ,
    constant_bones: bool = True,
    blur: float = _BLUR_METRES,
) -> np.ndarray:
    """Depth of a person over a clip, from poses and masks.

    poses: T consecutive frames; masks: (T, H, W) uint8, person above 127; fps, cutoff_hz and
    constant_bones as in `body_motion`; blur: standard deviation in metres, 0 for none.

    Returns (T, H, W) float32: metres along the viewing axis relative to the hips, smaller is
    nearer; NaN outside the mask. A frame whose pose is None, shows no visible landmark or has no
    size is NaN all over, whatever its mask: no depth is better than an invented one. Mask pixels
    beside every limb (hair, clothes) continue the nearest limb. Deterministic.

    Raises ValueError where poses and masks do not match, or as `body_motion` does.
    """
    if masks.ndim != 3 or masks.dtype != np.uint8 or len(masks) != len(poses):
        raise ValueError(
            f"lite depth of {len(poses)} poses needs masks of uint8 ({len(poses)}, H, W), "
            f"not {masks.dtype}{masks.shape}"
        )
    motion = body_motion(poses, fps=fps, cutoff_hz=cutoff_hz, constant_bones=constant_bones)
    inside = masks > _FOREGROUND
    girth = fit_girth(motion, inside)
    depth = np.full(masks.shape, np.nan, dtype=np.float32)
    for n, t in enumerate(motion.frames):
        surface = front_surface(body_capsules(motion, n, girth), *masks.shape[1:])
        filled = _spread(surface, inside[t])
        scale = motion.scale[n]
        depth[t] = _blur_inside(filled, inside[t], blur * scale) / np.float32(scale)
    return depth


def _spread(surface: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Give every pixel the nearest pixel's surface, (H, W) float32; inf counts as none.

    Pixels of the surface inside the mask go before those outside, which the mask denies. With no
    surface in the image at all, the person is as deep as the hips: 0.
    """
    known = np.isfinite(surface)
    if (known & inside).any():
        known &= inside
    if not known.any():
        return np.zeros_like(surface)
    if (known | ~inside).all():
        return np.where(known, surface, np.float32(0))
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(labels.max() + 1, dtype=np.float32)
    of_label[labels[known]] = surface[known]
    return of_label[labels]


def _blur_inside(values: np.ndarray, inside: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of `values` over the pixels inside, NaN outside; (H, W) float32."""
    if sigma > 0 and inside.any():
        weight = inside.astype(np.float32)
        total = cv2.GaussianBlur(values * weight, (0, 0), sigma)
        values = total / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), np.float32(1e-6))
    return np.where(inside, values, np.float32(np.nan))
