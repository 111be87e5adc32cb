"""Lite depth as an annotator: geometry from the tracked person's pose, not a measurement."""

from __future__ import annotations

import numpy as np

from preprocess.annotators.lite.depth.lite import lite_depth
from preprocess.annotators.lite.depth.motion import BodyPose
from preprocess.annotators.lite.mask import lite_masks
from preprocess.annotators.lite.person import PersonFrame
from preprocess.annotators.scene import Scene

__all__ = ["LiteDepth"]


class LiteDepth:
    """Depth in metres relative to the hips, from the person's landmarks and mask."""

    label = "pose-derived, not measured"
    unit = "metres from the hips along the viewing axis, smaller is nearer"
    metres = True

    def depths(self, scene: Scene, masks: np.ndarray | None) -> np.ndarray:
        """(T, S, S) float32, NaN outside the masks and where nobody was found.

        Without masks it takes the lite tracker's.
        """
        masks = lite_masks(scene) if masks is None else masks
        to_clip = scene.crop.to_clip
        poses = [_in_clip(person, to_clip) if person else None for person in scene.people]
        return lite_depth(poses, masks, fps=scene.fps)


def _in_clip(person: PersonFrame, to_clip: np.ndarray) -> BodyPose:
    xy = person.landmarks[:, :2] @ to_clip[:, :2].T + to_clip[:, 2]
    landmarks = np.column_stack([xy, person.landmarks[:, 3]]).astype(np.float32)
    return BodyPose(landmarks, person.world)
