"""Pose error: key points found in generated frames against the driving pose (AKD, MKR).

Siarohin et al. 2019: average key-point distance, and missing key-point rate. Key points are
(F, people, joints, 3) float32: x, y in pixels, score in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shards.sample.keypoints import COCO_18
from shards.sample.metrics import CONFIDENT

__all__ = ["UNIT_SIZE", "PoseError", "pose_error"]

UNIT_SIZE = 256
"""Distances are given in pixels of frames of this height."""


@dataclass(frozen=True)
class PoseError:
    """`akd`: mean distance of the joints found in both, in pixels of 256; NaN where none is.

    `missing`: the fraction of the driving pose's joints that were not found; NaN where it has none.
    `joints`: how many the driving pose has, over all frames; `found`: how many of them were found.
    """

    akd: float
    of_body: float
    missing: float
    joints: int
    found: int


def pose_error(found: np.ndarray, driving: np.ndarray, height: int) -> PoseError:
    """Of a clip's body joints (18), all frames and people.

    `height` is that of the frames whose pixels both are in. A joint counts as there with a score
    above .3. Each driving person is compared with the found one whose joints are nearest, frame by
    frame.

    Raises ValueError for another number of frames.
    """
    if len(found) != len(driving):
        raise ValueError(f"key points of {len(found)} frames, but a driving pose of {len(driving)}")
    joints = len(COCO_18)
    distances: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    wanted = missed = 0
    sizes = [_size(driving[:, n, :joints]) for n in range(driving.shape[1])]
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
            shares.append(apart / max(size, 1.0))
    every = np.concatenate(distances) if distances else np.zeros(0)
    return PoseError(
        akd=float(every.mean() * UNIT_SIZE / height) if every.size else float("nan"),
        of_body=float(np.concatenate(shares).mean()) if every.size else float("nan"),
        missing=missed / wanted if wanted else float("nan"),
        joints=wanted,
        found=wanted - missed,
    )


def _size(person: np.ndarray) -> float:
    """Of one person's joints (F, joints, 3): the larger side of their box, the largest of F."""
    largest = 0.0
    for frame in person:
        there = frame[frame[:, 2] > CONFIDENT, :2]
        if len(there):
            largest = max(largest, float(np.ptp(there, axis=0).max()))
    return largest


def _nearest(people: np.ndarray, person: np.ndarray, there: np.ndarray) -> np.ndarray | None:
    """Of `people` (P, joints, 3) the one nearest to `person` in the mean; None where none is."""
    best, least = None, np.inf
    for other in people:
        both = there & (other[:, 2] > CONFIDENT)
        if both.any():
            distance = np.linalg.norm(other[both, :2] - person[both, :2], axis=-1).mean()
            if distance < least:
                best, least = other, distance
    return best
