"""From a person and a motion to what a clip is generated from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from idol.generate.errors import CannotRetargetError, GenerationError
from idol.generate.generator import ClipConditions, seen_joints
from idol.generate.inputs.frame import (
    box_of_drawings,
    box_of_motion,
    fit,
    hole_in,
    square_around,
    whole,
)
from idol.generate.inputs.values import Motion, Person
from idol.generate.retarget import RetargetMethod, retarget
from idol.generate.retarget_check import misfits
from preprocess.crop import Crop
from shards.sample.keypoints import COCO_18, OPENPOSE_134, Keypoints
from shards.sample.skeleton import PoseStyle, draw_poses

__all__ = ["FrameChoice", "Placement", "prepare"]

FrameChoice = Literal["motion", "whole", "whole if inside"]

_LARGEST = 50  # times the background's longer side: a motion further out is no motion in it
_MOST_BYTES = 2e9  # of the output's square in the background's pixels


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the output's frame lies and how the motion came into it.

    `frame`      how the output's square was chosen: "motion" or "whole".
    `box`        its x0, y0, x1, y1 in the background's pixels.
    `retarget`   the method, and what it found.
    `misfits`    why the motion does not fit the person, which --force overrode.
    `outside`    fraction of the square that lies outside of the background.
    `keypoints`  (F, 134, 3) in pixels of the output; None for drawn skeletons.
    """

    frame: str
    box: tuple[int, int, int, int]
    retarget: dict[str, Any]
    misfits: tuple[str, ...]
    outside: float
    keypoints: np.ndarray | None

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "frame": self.frame,
            "box": list(self.box),
            "outside": round(self.outside, 4),
            "retarget": self.retarget,
            "misfits": list(self.misfits),
        }


def prepare(
    person: Person,
    motion: Motion,
    *,
    size: int,
    method: RetargetMethod | None = None,
    frame: FrameChoice = "motion",
    pose_style: PoseStyle = "openpose",
    force: bool = False,
) -> tuple[ClipConditions, Placement]:
    """Retarget the motion, choose the output's frame, and draw the skeletons in it.

    Args:
        size: height and width of the output, in pixels.
        method: as for `retarget`; by default proportions, and none for drawn skeletons.
        frame: "motion" for the square that holds the motion and a tenth around it, "whole" for
            all of the background, "whole if inside" for that where it holds the motion.
        pose_style: how the model was taught to see skeletons.
        force: go on where the motion does not fit the person.

    Raises:
        CannotRetargetError: the motion does not fit the person, with all reasons; or it cannot be
            compared with them.
        GenerationError: key points are missing that the method needs.
    """
    if method is None:
        method = "none" if motion.keypoints is None else "proportions"
    over = fit(motion.size, person.size)
    if motion.keypoints is None:
        if method != "none":
            raise GenerationError(
                f"{motion.name}: drawn skeletons cannot be retargeted, since their joints are not "
                "known: use --retarget none, or give the video or its key points"
            )
        return _of_drawings(person, motion, size, frame)
    if person.keypoints is None and method != "none":
        raise GenerationError(
            f"{person.name}: no key points of the person are known, so the motion cannot be "
            f"retargeted: use --retarget none, or another annotator as --pose"
        )
    reasons: tuple[str, ...] = ()
    if person.keypoints is not None:
        reasons = tuple(misfits(motion.keypoints, person.keypoints, min_score=motion.min_score))
        if reasons and not force:
            raise CannotRetargetError(
                f"{motion.name} does not fit {person.name}: {'; '.join(reasons)}. "
                "--force goes on all the same"
            )
    moved = retarget(
        motion.keypoints,
        np.zeros((0, len(OPENPOSE_134), 3)) if person.keypoints is None else person.keypoints,
        method,
        fit=(over.scale, over.x, over.y),
        min_score=motion.min_score,
    )
    try:
        box = box_of_motion(moved.keypoints, motion.min_score)
    except ValueError as error:
        raise GenerationError(f"{motion.name}: {error}") from error
    longest = max(box[2] - box[0], box[3] - box[1])
    crop = _crop(box, person.size, size, frame)
    if longest > _LARGEST * max(person.size) or 3 * crop.side**2 > _MOST_BYTES:
        raise GenerationError(
            f"{motion.name}: the motion would take {longest:.0f} pixels of a background of "
            f"{person.size[0]}x{person.size[1]}: its key points are in other pixels, or astray"
        )
    inside = Keypoints(moved.keypoints[:, None], OPENPOSE_134).transformed(crop.to_clip)
    drawn = draw_poses(inside, (size, size), pose_style, min_score=motion.min_score)
    report = {"method": method, **(over.as_json() if method == "none" else moved.as_json())}
    joints = seen_joints(inside.points[:, 0, : len(COCO_18)], motion.min_score)
    return _conditions(person, crop, drawn, motion.fps, joints), Placement(
        crop.mode, crop.box, report, reasons, _outside(crop, person.size), inside.points[:, 0]
    )


def _crop(
    box: tuple[float, float, float, float], picture: tuple[int, int], size: int, frame: FrameChoice
) -> Crop:
    """The output's square for a motion within `box`."""
    # The joints, without what is beyond them: that is cut off where a clip's square is tight.
    beyond = 0.1 * max(box[2] - box[0], box[3] - box[1])
    inside = min(box[:2]) >= -beyond
    inside &= all(end <= length + beyond for end, length in zip(box[2:], picture, strict=True))
    if frame == "whole" or (frame == "whole if inside" and inside):
        return whole(picture, size)
    return square_around(box, picture, size)


def _of_drawings(
    person: Person, motion: Motion, size: int, frame: FrameChoice
) -> tuple[ClipConditions, Placement]:
    """Skeletons that are pictures lie over the background as large as they go into it."""
    assert motion.skeletons is not None
    over = fit(motion.size, person.size)
    x0, y0, x1, y1 = box_of_drawings(motion.skeletons)
    box = (
        over.scale * x0 + over.x,
        over.scale * y0 + over.y,
        over.scale * x1 + over.x,
        over.scale * y1 + over.y,
    )
    crop = _crop(box, person.size, size, frame)
    affine = crop.to_clip @ np.array([[over.scale, 0, over.x], [0, over.scale, over.y], [0, 0, 1]])
    same = np.allclose(affine, [[1, 0, 0], [0, 1, 0]]) and motion.size == (size, size)
    drawn = (
        motion.skeletons if same else np.stack([_warped(f, affine, size) for f in motion.skeletons])
    )
    placement = Placement(
        crop.mode,
        crop.box,
        {"method": "none", **over.as_json()},
        (),
        _outside(crop, person.size),
        None,
    )
    return _conditions(person, crop, drawn, motion.fps), placement


def _warped(image: np.ndarray, affine: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3): lines that would become thinner than a pixel are made wider first, as those
    are that are drawn in a small size."""
    shrinks = int(max(1, np.floor(1 / affine[0, 0])))
    if shrinks > 1:
        round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (shrinks, shrinks))
        image = cv2.dilate(image, round_)
        height, width = image.shape[:2]
        small = (max(1, width // shrinks), max(1, height // shrinks))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        sx, sy = width / small[0], height / small[1]
        back = np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1]])
        affine = affine @ back
    warped: np.ndarray = cv2.warpAffine(image, affine, (size, size), flags=cv2.INTER_LINEAR)
    return warped


def _conditions(
    person: Person, crop: Crop, drawn: np.ndarray, fps: float, joints: np.ndarray | None = None
) -> ClipConditions:
    same = crop.box == (0, 0, *person.size) and person.size == (crop.size, crop.size)
    return ClipConditions(
        person.foreground,
        person.foreground_mask,
        person.background if same else crop.apply(person.background),
        person.background_mask if same else hole_in(crop, person.background_mask),
        np.ascontiguousarray(drawn),
        fps,
        person.joints,
        joints,
    )


def _outside(crop: Crop, picture: tuple[int, int]) -> float:
    """The fraction of the square that is not in the picture, (width, height)."""
    x0, y0, x1, y1 = crop.box
    width = max(0, min(x1, picture[0]) - max(x0, 0))
    height = max(0, min(y1, picture[1]) - max(y0, 0))
    return 1 - width * height / crop.side**2
