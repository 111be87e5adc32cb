"""The joints that a body defines: the truth behind key points."""

from functools import lru_cache

import numpy as np

from preprocess.sources.people.body import PHENOTYPES, make_body, template
from preprocess.sources.people.rotations import unit
from shards.sample.keypoints import OPENPOSE_134

__all__ = ["joints_of"]


def joints_of(vertices: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """(134, 3) in the world; NaN where the body does not define a joint."""
    shared = template()
    joints = np.full((len(OPENPOSE_134), 3), np.nan)
    names = OPENPOSE_134.joints

    def put(name: str, place: np.ndarray) -> None:
        if name in names:
            joints[names.index(name)] = place

    found = {}
    for name, (of, weights) in shared.joints.items():
        found[name] = weights @ vertices[of]
        put(name, found[name])
    put("neck", 0.5 * (found["left_shoulder"] + found["right_shoulder"]))
    for side, letter in (("left", "L"), ("right", "R")):
        put(f"{side}_hand_palm", heads[shared.bone(f"wrist.{letter}")])
        for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"), start=1):
            for bone in (1, 2, 3):  # the tips are no bone's head
                place = heads[shared.bone(f"finger{number}-{bone}.{letter}")]
                put(f"{side}_hand_{finger}_{bone}", place)
            put(f"{side}_hand_{finger}_4", vertices[_tips(number, letter)].mean(0))
    return joints


@lru_cache(maxsize=10)
def _tips(number: int, letter: str) -> np.ndarray:
    """The end of a finger: the vertices that at rest lie furthest along its last bone."""
    shared = template()
    last = shared.bone(f"finger{number}-3.{letter}")
    before = shared.bone(f"finger{number}-2.{letter}")
    mean = make_body(dict.fromkeys(PHENOTYPES, 0.5))
    along = unit(mean.heads[last] - mean.heads[before])
    of = np.flatnonzero(((shared.influences == last) * shared.weights).sum(1) > 0.5)
    return of[np.argsort(mean.vertices[of] @ along)[-8:]]
