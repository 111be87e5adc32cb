"""The reference: of the frames looked at the one that shows the subject, in the subject's own box.

A clip's foreground must hold the whole person whatever square the clip itself is cut to: the person
may have crossed the picture between the reference frame and the clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preprocess.annotators.tracked import PersonFrame, person_box
from preprocess.crop import (
    Box,
    Crop,
    around,
    main_box,
    mask_parts,
    rescaled,
    subject_crop,
    whole_frame,
)
from preprocess.errors import ClipError
from preprocess.frames import Frame
from preprocess.pixels import pixels_in

__all__ = [
    "PERSON",
    "Reference",
    "Seen",
    "choose_reference",
    "cut_reference",
    "filled",
    "foreground_crop",
    "seen_joints",
    "subject_box",
    "wholeness",
]

PERSON = 127  # masks above this are the person
# The first frame this fraction as good as the best is the reference.
_GOOD_ENOUGH = 0.9
# A whole person fills more of the square around them; less is a fragment, or a thin mask.
_FILLED = 0.05
_VISIBLE = 0.5  # landmarks seen this surely count


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame looked at as if it were alone: those of a survey are far apart.

    `people`    what the tracker gives for it, () without one.
    `mask`      (H, W) uint8 in the source's pixels, 255 where the subject is; None without masks.
    `box`       the subject's, in the source's pixels: what mask, landmarks or key points cover;
                None where nobody was found, or nobody was looked for.
    `boxes`     those of each person, from the mask annotator.
    `joints`    the fraction of the body's points that were found in the picture; 1 where nobody
                gives points.
    `person`    whether the subject is in it; None where nobody was looked for.
    `several`   whether the subject is everybody in the picture.
    """

    frame: Frame
    people: tuple[PersonFrame | None, ...] = ()
    mask: np.ndarray | None = None
    box: Box | None = None
    boxes: tuple[Box, ...] = ()
    joints: float = 1.0
    person: bool | None = None
    several: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """The picture's width and height."""
        return self.frame.size


def subject_box(
    mask: np.ndarray | None, person: PersonFrame | None, width: int, height: int
) -> Box | None:
    """What the mask and the tracked person's visible landmarks cover together, in a picture of
    (height, width): the mask alone may miss a hand, and landmarks end at the eyes and wrists.

    Where the mask shows somebody else than the tracker follows, the mask decides. Where it shows
    a part of whom the tracker follows, the box is the whole person's, so that the part is found to
    be one.
    """
    masked = None if mask is None else main_box(mask)
    if person is None:
        return masked
    if mask is None:
        return person_box(person, width, height)
    points = person.landmarks[person.landmarks[:, 3] >= _VISIBLE, :2]
    points = np.clip(points if len(points) else person.landmarks[:, :2], 0, (width, height))
    tracked = around([(*points.min(0), *points.max(0))])
    if masked is None or tracked is None:
        return masked or tracked
    return around([masked, tracked]) if _meet(masked, tracked) else masked


def seen_joints(person: PersonFrame, width: int, height: int) -> float:
    """The fraction of the tracked body's landmarks that are visible within the picture."""
    x, y, _, visibility, _ = person.landmarks.T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return float((inside & (visibility >= _VISIBLE)).mean())


def _meet(a: Box, b: Box) -> bool:
    """Whether two boxes share at least half of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b))
    return width > 0 and height > 0 and width * height >= smaller / 2


def foreground_crop(seen: Seen, size: int) -> Crop:
    """The subject's own square and a tenth on each side, as `subject_crop` cuts clips.

    Where nobody is to be cut out, the whole picture.
    """
    if seen.box is None:
        return whole_frame(*seen.size, size)
    return subject_crop([seen.box], *seen.size, size)


def wholeness(seen: Seen, size: int) -> float:
    """How well a frame shows its subject, in [0, 1]: 0 where it does not.

    The fraction of the body's points that are seen, less a sixth for each side of the picture
    that cuts the subject off, less where the subject is smaller than `size` pixels and so would be
    enlarged, or where the mask fills too little of its square.
    """
    if seen.box is None:
        return 0.0
    width, height = seen.size
    x0, y0, x1, y1 = seen.box
    cut = sum((x0 < 1, y0 < 1, x1 > width - 1, y1 > height - 1))
    share = filled(seen)
    whole = 1.0 if share is None else min(1.0, share / _FILLED)
    return seen.joints * (1 - cut / 6) * min(1.0, foreground_crop(seen, size).side / size) * whole


def filled(seen: Seen) -> float | None:
    """The fraction of the subject's own square that the mask covers; None without masks.

    Where the subject is everybody, of the squares of the mask's parts: people who stand far apart
    leave most of the square around them all empty.
    """
    if seen.mask is None:
        return None
    squares = [foreground_crop(seen, 1).side]
    if seen.several and (parts := mask_parts(seen.mask)):
        squares = [subject_crop([part], *seen.size, 1).side for part in parts]
    return min(1.0, float((seen.mask > PERSON).sum()) / sum(side * side for side in squares))


def choose_reference(seen: Sequence[Seen], size: int) -> Seen:
    """The first frame that shows its subject about as well as the best of them.

    The first alone would do where somebody stands in view; where they come in from the side or
    from behind something, the first with a detection has a fragment of them.
    """
    found = [one for one in seen if one.box is not None] or seen
    scores = [wholeness(one, size) for one in found]
    good = _GOOD_ENOUGH * max(scores)
    return next(one for one, score in zip(found, scores, strict=True) if score >= good)


@dataclass(frozen=True, eq=False)
class Reference:
    """A sample's reference: `arrays` by modality, what its json says of them in `info`, and
    `filled`, as the function says."""

    arrays: dict[str, np.ndarray]
    info: dict[str, Any]
    filled: float | None

    def check(self, least: float) -> None:
        """Raises ClipError where the subject is not really there: nobody was found, or the mask
        covers a smaller fraction than `least` of the subject's square; 0 allows everything."""
        if least <= 0:
            return
        frame = self.info["frame"]
        if self.info["person"] is False:
            raise ClipError(f"the reference, frame {frame}, shows nobody, and this clip does")
        if self.filled is not None and self.filled < least:
            raise ClipError(
                f"the reference, frame {frame}, hardly shows the person: the mask covers "
                f"{self.filled:.4f} of the person's own square; --min-reference asks for {least:g}"
            )


def _in_crop(joints: np.ndarray, crop: Crop) -> list[list[float]]:
    """Joints (18, 3) of the source, as the json has them: in pixels of the crop."""
    moved = joints[:, :2].astype(np.float64) @ crop.to_clip[:, :2].T + crop.to_clip[:, 2]
    return [
        [round(float(x), 2), round(float(y), 2), round(float(score), 4)]
        for (x, y), score in zip(moved, joints[:, 2], strict=True)
    ]


def cut_reference(
    seen: Seen, crop: Crop, size: tuple[int, int], joints: np.ndarray | None = None
) -> Reference:
    """Foreground and background of a clip with the square `crop` in a picture of `size`, (width,
    height). `joints` (18, 3) are the subject's in the reference frame, in its own pixels.

    Raises ClipError where the clip's picture has another shape than the reference frame's.
    """
    own = foreground_crop(seen, crop.size)
    try:
        same = rescaled(crop, size, seen.size)
    except ValueError as error:
        raise ClipError(f"the reference is frame {seen.frame.index}: {error}") from error
    arrays = {
        name: square.apply(pixels_in(seen.frame.picture, square.box))
        for name, square in (("reference", own), ("background", same))
    }
    covered = None
    if seen.mask is not None:
        arrays["reference_mask"] = own.apply(seen.mask)
        arrays["background_mask"] = same.apply(seen.mask)
        covered = round(float((arrays["reference_mask"] > PERSON).mean()), 4)
    info: dict[str, Any] = {
        "frame": seen.frame.index,
        "person": seen.person,
        "box": list(own.box),
        "coverage": covered,
    }
    if joints is not None:
        info["joints"] = _in_crop(joints, own)
    return Reference(arrays, info, filled(seen))
