"""How joints move, without pictures: thousands of people in the time that a hundred take to render.

What a network that tells the depth of joints from where they are in the picture learns from
(`preprocess.sources.people.lifting`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from preprocess.depth_range import depth_range
from preprocess.sources.people.body import template
from preprocess.sources.people.posture import pose_bones
from preprocess.sources.people.rasterize import Buffer, skin
from preprocess.sources.people.spec import PeopleSpec
from preprocess.sources.people.world import figures
from shards.sample.keypoints import COCO_18

__all__ = ["MovingJoints", "moving_joints"]

_SURVEYED = 4  # frames by which the range of depth is told, as of other videos
_SIDE = 64  # pixels of their pictures


@dataclass(frozen=True, eq=False)
class MovingJoints:
    """The subject's joints of `COCO_18` in a video, and the range of its depth.

    `joints`: (T, 18, 3) float32: x and y as fractions of the picture's height, and metres along the
    viewing axis; `near`, `far`: metres, of the surface of the body undressed (`depth_range`).
    """

    joints: np.ndarray
    near: float
    far: float


def moving_joints(spec: PeopleSpec, video: int) -> MovingJoints:
    """Of video number `video` of the spec, in each of its frames.

    Raises InputError where the extra `people` is not installed.
    """
    people, camera = figures(spec, video)
    subject, shared = people[0], template()
    times = np.arange(spec.frames) / spec.fps
    posture = subject.motion.posture(times)
    _, transforms = pose_bones(posture, subject.body, subject.rig, shared)
    rest = subject.body.vertices.astype(np.float32)
    of, weights = _of_joints()
    joints = np.empty((spec.frames, len(COCO_18), 3), np.float32)
    surfaces = []
    surveyed = set(np.linspace(0, spec.frames - 1, _SURVEYED).astype(int))
    for t, seconds in enumerate(times):
        view = camera.at(seconds)
        which = slice(None) if t in surveyed else of
        placed, _ = skin(
            rest[which], rest[which], shared.weights[which], shared.influences[which],
            transforms[t],
        )  # fmt: skip
        if t in surveyed:
            points = view.project(placed.astype(np.float64))
            points[..., :2] = (points[..., :2] + 0.5) * (_SIDE / spec.height) - 0.5
            buffer = Buffer(_SIDE * spec.width // spec.height, _SIDE)
            buffer.draw(points.astype(np.float32), shared.faces)
            surfaces.append(np.where(np.isfinite(buffer.depth), buffer.depth, np.nan))
            placed = placed[of]
        joints[t] = view.project(weights @ placed)
    joints[..., :2] = (joints[..., :2] + 0.5) / spec.height
    return MovingJoints(joints, *depth_range(np.stack(surfaces)))


@lru_cache(maxsize=1)
def _of_joints() -> tuple[np.ndarray, np.ndarray]:
    """(N,) the vertices that tell the joints, and (18, N) how much of each does."""
    shared = template()
    rows = np.zeros((len(COCO_18), len(shared.canonical)))
    for number, name in enumerate(COCO_18.joints):
        sides = ("left_shoulder", "right_shoulder") if name == "neck" else (name,)
        for side in sides:
            of, weights = shared.joints[side]
            rows[number, of] += weights / len(sides)
    used = np.flatnonzero(np.abs(rows).sum(0))
    return used, rows[:, used]
