"""A background that stays: the given one's pixels, wherever the depth stream says nobody is.

The depth of a person is drawn with `hot` up to .75, and the background is white. Blue is nought on
all of the person's colours and full on white, so that what lacks of it is how much of a pixel the
person covers: the mask that was generated along with the frames.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from idol.generate.errors import GenerationError
from idol.generate.generator import DepthKind, Generated
from shards.stream.foreground import filled

__all__ = ["background_psnr", "check_depth_kind", "keep_background", "person_mask"]

# Coverage above this is the person; and a soft edge is what is above the background's own noise,
# but no less than this.
_PERSON = 0.5
_EDGE = 0.08

# Noise of white is one-sided, for nothing is whiter: this fraction of it is within one deviation.
_WITHIN_DEVIATION = 0.68

# A background's mask is soft; what is above this fraction of it has the person's colours in it.
_HOLE = 0.05

# One pixel of 64: as far as pixels reach that show the person, whose depth is the background's.
_MARGIN = 1 / 64


def keep_background(
    generated: Generated,
    background: np.ndarray,
    background_mask: np.ndarray,
    *,
    fill_hole: bool = False,
) -> tuple[Generated, np.ndarray]:
    """Put the given background's pixels wherever neither the person nor their soft edge is.

    Nothing is kept in the background's hole, of which nothing is known. Depth stays as it is.

    Args:
        generated: F frames of S x S pixels, with the person's depth.
        background, background_mask: (S, S, 3) and (S, S) uint8; 255 is the hole.
        fill_hole: show in the hole what surrounds it (Telea, 2004), where nobody is, and not what
            was generated there.

    Returns:
        The same with other frames, and where the given pixels were kept, (F, S, S) bool.

    Raises:
        GenerationError: the depth is the whole frame's, which says nothing of who is where; or the
            background is of another size.
    """
    _check(generated, background, background_mask)
    nobody, known = ~_with_edges(generated.depth_pictures), _known(background_mask)
    place, shown = background, nobody & known
    if fill_hole:
        margin = max(1, round(_MARGIN * len(known)))
        known = ~_grown(~known[None], margin)[0]  # its border is soft
        place, shown = filled(background, (~known).astype(np.uint8)), nobody
    frames = np.where(shown[..., None], place, generated.frames)
    return dataclasses.replace(generated, frames=frames), nobody & known


def person_mask(depth_pictures: np.ndarray) -> np.ndarray:
    """Where the person is, (F, S, S) bool, from the person's depth as colours.

    depth_pictures: (F, S, S, 3) uint8 RGB, exact or generated.
    """
    return _coverage(depth_pictures) > _PERSON


def background_psnr(
    generated: Generated, background: np.ndarray, background_mask: np.ndarray
) -> float | None:
    """PSNR of the frames against the given background, in dB, where it is known and nobody is.

    Nobody is where `person_mask` says so, close to the person too, where `keep_background` keeps
    nothing: so the figure says what is seen with it as well as without. Infinite where nothing
    differs; None where there is no such pixel. Arguments and errors as for `keep_background`.
    """
    _check(generated, background, background_mask)
    places = ~person_mask(generated.depth_pictures) & _known(background_mask)
    total = sum(
        float(((frame[place].astype(np.float64) - background[place]) ** 2).sum())
        for frame, place in zip(generated.frames, places, strict=True)
    )
    if not places.any():
        return None
    mean = total / (3 * np.count_nonzero(places))
    return float(10 * np.log10(255**2 / mean)) if mean else float("inf")


def check_depth_kind(kind: DepthKind) -> None:
    """Raise GenerationError for the whole frame's depth, which says nothing of who is where."""
    if kind != "person":
        raise GenerationError(
            "this model's depth is that of the whole frame, which does not say where the person "
            "is: the background cannot be kept"
        )


def _check(generated: Generated, background: np.ndarray, background_mask: np.ndarray) -> None:
    check_depth_kind(generated.depth_kind)
    size = generated.frames.shape[1:3]
    for name, array in (("background", background), ("background's mask", background_mask)):
        if array.shape[:2] != size:
            raise GenerationError(
                f"the {name} has {array.shape[1]}x{array.shape[0]} pixels, and the frames "
                f"{size[1]}x{size[0]}: they must lie on each other"
            )


def _coverage(depth_pictures: np.ndarray) -> np.ndarray:
    """How much of a pixel the person covers, (F, S, S) float32 from 0 to 1."""
    return np.float32(1) - depth_pictures[..., 2] / np.float32(255)


def _with_edges(depth_pictures: np.ndarray) -> np.ndarray:
    """The person, a margin around, and soft edges as far again."""
    coverage = _coverage(depth_pictures)
    person = coverage > _PERSON
    noise = np.quantile(coverage[~person], _WITHIN_DEVIATION) if not person.all() else 0.0
    soft = coverage > np.clip(3 * noise, _EDGE, _PERSON)
    margin = max(1, round(_MARGIN * depth_pictures.shape[1]))
    return _grown(person, margin) | (_grown(person, 2 * margin) & soft)


def _grown(masks: np.ndarray, pixels: int) -> np.ndarray:
    """Masks (F, H, W) bool, wider by so many pixels in all eight directions."""
    around = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return np.stack([cv2.dilate(mask.astype(np.uint8), around) for mask in masks]).astype(bool)


def _known(background_mask: np.ndarray) -> np.ndarray:
    return background_mask <= _HOLE * 255
