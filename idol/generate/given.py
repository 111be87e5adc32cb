"""The clips of a call: one or a batch of lists, of whatever images and masks, as uint8 arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from idol.generate.errors import GenerationError
from idol.generate.pictures import array_of, mask_of, picture_of, pictures_of
from shards.sample.keypoints import COCO_18

__all__ = ["GivenClip", "check_shape", "given_clips"]

# Pixels from a picture's corner; far beyond it OpenCV cannot lay a body's parts over a frame.
_FARTHEST = 1_000_000


@dataclass(frozen=True, eq=False)
class GivenClip:
    """A clip's images, uint8: (H, W, 3), masks (H, W), poses (F, H, W, 3).

    `foreground_joints` (18, 3) and `joints` (F, 18, 3) float32, in pixels of foreground and poses.
    """

    foreground: np.ndarray
    foreground_mask: np.ndarray
    background: np.ndarray
    background_mask: np.ndarray
    poses: np.ndarray
    foreground_joints: np.ndarray | None = None
    joints: np.ndarray | None = None


def given_clips(
    foreground: Any,
    foreground_mask: Any,
    background: Any,
    background_mask: Any,
    poses: Any,
    foreground_joints: Any = None,
    joints: Any = None,
) -> list[GivenClip]:
    """The clips of a call: one, or of a list of each as many as there are foregrounds.

    Args, as `IdolPipeline` takes them; without a mask the image's alpha says what the person is, or
    the hole, and without either all of the foreground is the person and the background has no hole.

    Raises:
        GenerationError: what is given is no image or of another size, naming it; or clips of a
            batch differ in number or length.
    """
    given = {
        "foreground": foreground,
        "foreground_mask": foreground_mask,
        "background": background,
        "background_mask": background_mask,
        "poses": poses,
        "foreground_joints": foreground_joints,
        "joints": joints,
    }
    if not isinstance(foreground, list):
        return [_clip(given)]
    count = len(foreground)
    for name, value in given.items():
        if value is None:
            given[name] = [None] * count
        elif not isinstance(value, list | np.ndarray | Tensor) or len(value) != count:
            raise GenerationError(f"{name} must be a list of {count}, as foreground is")
    clips = [_clip({name: value[i] for name, value in given.items()}) for i in range(count)]
    if not clips:
        raise GenerationError("foreground is empty: give one image a clip")
    if len(lengths := {len(clip.poses) for clip in clips}) > 1:
        raise GenerationError(
            f"the clips of a batch have {', '.join(map(str, sorted(lengths)))} poses: give as many "
            "for each, or one clip a call"
        )
    return clips


def _clip(given: dict[str, Any]) -> GivenClip:
    pictures, masks = {}, {}
    for name in ("foreground", "background"):
        picture, alpha = picture_of(given[name], name)
        mask = mask_of(given[f"{name}_mask"], f"{name}_mask", picture.shape[:2])
        if mask is None and alpha is not None:
            mask = alpha if name == "foreground" else 255 - alpha
        if mask is None:
            mask = np.full(picture.shape[:2], 255 if name == "foreground" else 0, np.uint8)
        pictures[name], masks[f"{name}_mask"] = picture, mask
    poses = pictures_of(given["poses"], "poses")
    return GivenClip(
        **pictures,
        **masks,
        poses=poses,
        foreground_joints=_joints(given, "foreground_joints", (len(COCO_18), 3)),
        joints=_joints(given, "joints", (len(poses), len(COCO_18), 3)),
    )


def _joints(given: dict[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if given[name] is None:
        return None
    wanted = f"{name} must be finite numbers of shape {shape}, the joints of COCO_18 with x, y and "
    try:
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite there
            joints = array_of(given[name]).astype(np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise GenerationError(f"{wanted}a score, and are no array of numbers") from error
    if joints.shape != shape:
        raise GenerationError(f"{wanted}a score, and are of shape {joints.shape}")
    if lost := int((~np.isfinite(joints)).sum()):
        raise GenerationError(f"{wanted}a score, and {lost} of {joints.size} are not finite")
    if (farthest := float(np.abs(joints[..., :2]).max(initial=0))) > _FARTHEST:
        raise GenerationError(
            f"{name} go to {farthest:.3g} pixels: give x and y in pixels of the picture, within "
            f"{_FARTHEST} of its corner"
        )
    return joints


def check_shape(shape: Sequence[int], height: int, width: int, name: str) -> None:
    """Raise GenerationError, with the images' name, where those of `shape`, (H, W, ...), would be
    distorted by being scaled to this height and width."""
    found_height, found_width = shape[:2]
    # Alike to a pixel of the smaller one.
    if abs(found_height * width - found_width * height) > max(height, width, *shape[:2]):
        raise GenerationError(
            f"{name}: {found_width}x{found_height} pixels are of another shape than the "
            f"{width}x{height} that are generated: crop, or give height and width"
        )
