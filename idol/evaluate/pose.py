"""Pose error: key points found in generated frames against the driving pose (AKD, MKR).

Siarohin et al. 2019: average key-point distance, and missing key-point rate. Key points are
(F, people, joints, 3) float32: x, y in pixels, score in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shards.sample.keypoints import COCO_18
from shards.sample.metrics import CONFIDENT

__all__ = ["READ_WITHIN", "UNIT_SIZE", "PoseError", "pose_error", "read_in_truth"]

UNIT_SIZE = 256
"""Distances are given in pixels of frames of this height."""

READ_WITHIN = 0.1
"""A joint is read rightly that is found within so much of the body's size of where it is."""


@dataclass(frozen=True)
class PoseError:
    """`akd`: mean distance of the joints found in both, in pixels of 256; NaN where none is.

    `of_body`: the same mean, each distance as a fraction of its person's size (`pose_error`).
    `missing`: the fraction of the driving pose's joints that were not found; NaN where it has none.
    `joints`: how many the driving pose has, over all frames; `found`: how many of them were found.
    """

    akd: float
    of_body: float
    missing: float
    joints: int
    found: int


def pose_error(
    found: np.ndarray, driving: np.ndarray, height: int, *, body: np.ndarray | None = None
) -> PoseError:
    """Of a clip's body joints (18), all frames and people.

    `height` is that of the frames whose pixels both are in. A joint counts as there with a score
    above .3. Each driving person is compared with the found one whose joints are nearest, frame by
    frame. A person's size is the larger side of the box around their joints in `body`, the largest
    of all frames; `body` is the driving pose unless given: the whole of it, where `driving` has
    some of its joints alone.

    Raises ValueError for another number of frames.
    """
    if len(found) != len(driving):
        raise ValueError(f"key points of {len(found)} frames, but a driving pose of {len(driving)}")
    joints = len(COCO_18)
    distances: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    wanted = missed = 0
    sizes = _sizes(driving if body is None else body)
    for ours, truth in zip(found[:, :, :joints], driving[:, :, :joints], strict=True):
        for person, size in zip(truth, sizes, strict=True):
            there = person[:, 2] > CONFIDENT
            if not there.any():
                continue
            wanted += int(there.sum())
            best = _nearest(ours, person, there)
            if best is None:
                missed += int(there.sum())
                continue
            both = there & (best[:, 2] > CONFIDENT)
            missed += int((there & ~both).sum())
            apart = np.linalg.norm(best[both, :2] - person[both, :2], axis=-1)
            distances.append(apart)
            shares.append(apart / size)
    every = np.concatenate(distances) if distances else np.zeros(0)
    return PoseError(
        akd=float(every.mean() * UNIT_SIZE / height) if every.size else float("nan"),
        of_body=float(np.concatenate(shares).mean()) if every.size else float("nan"),
        missing=missed / wanted if wanted else float("nan"),
        joints=wanted,
        found=wanted - missed,
    )


def read_in_truth(found: np.ndarray, driving: np.ndarray) -> np.ndarray:
    """The driving pose with scores of 0 but for the joints that an annotator reads rightly.

    `found` is what it finds in the true frames, in the pixels of `driving`: rightly is within
    `READ_WITHIN` of the body's size. What else is found in generated frames tells of the annotator.

    Raises ValueError for another number of frames.
    """
    if len(found) != len(driving):
        raise ValueError(f"key points of {len(found)} frames, but a driving pose of {len(driving)}")
    joints, read = len(COCO_18), np.zeros_like(driving)
    read[..., :2] = driving[..., :2]
    sizes = _sizes(driving)
    for frame, (ours, truth) in enumerate(zip(found[:, :, :joints], driving, strict=True)):
        for n, person in enumerate(truth[:, :joints]):
            there = person[:, 2] > CONFIDENT
            best = _nearest(ours, person, there)
            if best is not None:
                apart = np.linalg.norm(best[:, :2] - person[:, :2], axis=-1)
                right = there & (best[:, 2] > CONFIDENT) & (apart <= READ_WITHIN * sizes[n])
                read[frame, n, :joints, 2] = np.where(right, person[:, 2], 0)
    return read


def _sizes(people: np.ndarray) -> list[float]:
    """Of each person's body joints the larger side of their box, the largest of all frames."""
    sizes = []
    for person in np.moveaxis(people[:, :, : len(COCO_18)], 1, 0):
        boxes = [frame[frame[:, 2] > CONFIDENT, :2] for frame in person]
        sizes.append(max([1.0, *(float(np.ptp(b, axis=0).max()) for b in boxes if len(b))]))
    return sizes


def _nearest(people: np.ndarray, person: np.ndarray, there: np.ndarray) -> np.ndarray | None:
    """Of `people` (P, joints, 3) the one nearest to `person` in the mean; None where none is.

    A joint that one has not is as far as the person is large: a stray joint in the right place is
    nobody.
    """
    best, least = None, np.inf
    size = float(np.ptp(person[there, :2], axis=0).max()) if there.any() else 0.0
    for other in people:
        both = there & (other[:, 2] > CONFIDENT)
        if both.any():
            apart = np.linalg.norm(other[both, :2] - person[both, :2], axis=-1)
            distance = apart.sum() + size * int((there & ~both).sum())
            if distance < least:
                best, least = other, distance
    return best
