"""What is true of a clip, cut out as the clip is; and what kind of frame each of its frames is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preprocess.annotators.scene import Scene
from preprocess.annotators.source.truth import SourceDepth, SourcePose
from preprocess.crop import Box, Crop, mask_box
from preprocess.truth import Truth
from shards.sample.keypoints import COCO_18

__all__ = ["ATTRIBUTES", "BODY", "TrueClip", "attributes", "true_clip"]

BODY = len(COCO_18)  # key points are compared on the body's joints, the first of the 134

# Of each attribute all values, in the order of the tables.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "height": ("under 60 px", "60-90 px", "90-150 px", "over 150 px"),
    "distance": ("under 2.5 m", "2.5-4.5 m", "over 4.5 m"),
    "hidden": ("under 1/8", "1/8-3/8", "over 3/8"),
    "facing": ("towards", "sideways", "away"),
    "posture": ("upright", "crouching"),
    "clothes": ("close", "loose"),
    "people": ("one", "two"),
}

_LOOSE_CLOTHES = ("dress", "skirt", "long skirt", "wide trousers")
_LOOSE = 1.0  # how far clothes stand off, as a spec's `loose` says it
_CROUCHING = 0.75  # hip to ankle, of thigh and shin together: knees bent by 83 degrees
_SIDEWAYS = 60.0  # degrees from the camera's axis at which a side is seen, to 180 less these


@dataclass(frozen=True, eq=False)
class TrueClip:
    """T frames of S x S pixels with P people, the subject first.

    `rgb`     (T, S, S, 3) uint8.
    `masks`   (T, P, S, S) uint8, how much of each pixel a person covers, 255 for all.
    `joints`  (T, P, 18, 3) float32 of COCO_18: x, y in pixels of the clip; 1 where seen, .5 hidden
              but in the picture, 0 outside or not defined.
    `space`   (T, P, 18, 3) float32, the same in metres in the camera's axes.
    `depth`   (T, S, S) float32, metres of the subject along the viewing axis, NaN elsewhere.
    `boxes`   of the subject in each frame, in pixels of the clip; None where they are not seen.
    `kinds`   of each frame its value of each of `ATTRIBUTES`.
    """

    rgb: np.ndarray
    masks: np.ndarray
    joints: np.ndarray
    space: np.ndarray
    depth: np.ndarray
    boxes: tuple[Box | None, ...]
    kinds: tuple[Mapping[str, str], ...]

    def mid_hip(self, t: int) -> float:
        """The subject's, in metres along the viewing axis."""
        hips = COCO_18.indices("right_hip", "left_hip")
        return float(self.space[t, 0, hips, 2].mean())

    def counts(self, t: int) -> bool:
        """Whether a frame shows the subject at all: at least one joint of the body, and a pixel."""
        return self.boxes[t] is not None and bool((self.joints[t, 0, :, 2] == 1).any())


def true_clip(
    frames: Sequence[np.ndarray],
    truths: Sequence[Truth],
    crop: Crop,
    about: Mapping[str, Any],
) -> TrueClip:
    """frames: (H, W, 3) uint8 each; about: what the video's `TruthReader` says of it."""
    scene = Scene(tuple(frames), (), crop, 1.0, truths=tuple(truths))
    pose = SourcePose("all")
    masks = np.stack([np.stack([crop.apply(m) for m in truth.masks]) for truth in truths])
    joints = pose.keypoints(scene).points[:, :, :BODY]
    return TrueClip(
        np.stack([crop.apply(frame) for frame in frames]),
        masks,
        joints,
        pose.space(scene)[:, :, :BODY],
        SourceDepth("one", whole_frame=False).depths(scene, None),
        tuple(mask_box(of[0]) for of in masks),
        tuple(attributes(truth, about) for truth in truths),
    )


def attributes(truth: Truth, about: Mapping[str, Any]) -> dict[str, str]:
    """A frame's value of each of `ATTRIBUTES`, of its subject.

    height: of the box around the mask, in pixels of the source. distance: of the mid-hip along
    the viewing axis. hidden: the fraction of the body's joints that are hidden, by the own body
    too, or outside the picture. facing: where shoulders and hips face, seen from above: within 60
    degrees of the camera, beyond 120, or between. crouching: thigh and shin folded by 83 degrees
    or more, as in sitting. loose: a dress, a skirt, wide trousers, or clothes that stand off as
    far as 1 and more of a spec's `loose`. people: who is in the picture.
    """
    space = truth.space[0]
    box = mask_box(truth.masks[0])
    height = 0.0 if box is None else box[3] - box[1]
    hips = COCO_18.indices("right_hip", "left_hip")
    distance = float(space[hips, 2].mean())
    hidden = float(truth.hidden[0, :BODY].mean())
    wears = about["people"][0]
    loose = (
        wears["top"] in _LOOSE_CLOTHES
        or wears["bottom"] in _LOOSE_CLOTHES
        or wears["loose"] >= _LOOSE
    )
    seen = sum(bool((mask > 127).any()) for mask in truth.masks)
    turned = _turned(space)
    values = {
        "height": np.searchsorted([60, 90, 150], height, side="right"),
        "distance": np.searchsorted([2.5, 4.5], distance, side="right"),
        "hidden": np.searchsorted([1 / 8, 3 / 8], hidden, side="right"),
        "facing": np.searchsorted([_SIDEWAYS, 180 - _SIDEWAYS], turned, side="right"),
        "posture": _folded(space) < _CROUCHING,
        "clothes": loose,
        "people": seen > 1,
    }
    return {name: ATTRIBUTES[name][int(value)] for name, value in values.items()}


def _turned(space: np.ndarray) -> float:
    """Degrees between where the trunk faces and the camera, seen from above: 0 faces it."""
    right = space[COCO_18.indices("right_shoulder", "right_hip")].sum(0)
    left = space[COCO_18.indices("left_shoulder", "left_hip")].sum(0)
    x, _, z = left - right
    # Who faces the camera has the left side to the right of the picture.
    return float(abs(np.degrees(np.arctan2(z, x))))


def _folded(space: np.ndarray) -> float:
    """Hip to ankle over thigh and shin, the mean of both legs: 1 for straight ones."""
    folded = []
    for side in ("right", "left"):
        hip, knee, ankle = space[
            COCO_18.indices(*(f"{side}_{j}" for j in ("hip", "knee", "ankle")))
        ]
        length = math.dist(hip, knee) + math.dist(knee, ankle)
        folded.append(math.dist(hip, ankle) / length)
    return float(np.mean(folded))
