"""Key points and depth of rendered people: true, where others find or estimate."""

import cv2
import numpy as np

from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import PeopleMode
from preprocess.annotators.whole_frame import cropped
from preprocess.crop import Crop
from preprocess.errors import ClipError
from preprocess.truth import Truth
from shards.sample.keypoints import OPENPOSE_134, Keypoints

__all__ = ["HIDDEN_SCORE", "SourceDepth", "SourcePose"]

# Of a joint that is in the picture, but behind something; 1 of one that is seen.
HIDDEN_SCORE = 0.5


def _truths(scene: Scene) -> tuple[Truth, ...]:
    if len(scene.truths) != len(scene.frames):
        raise ClipError("nothing true is known of this source: choose another --pose and --depth")
    return scene.truths


class SourcePose:
    """Scores tell seen joints (1) from hidden ones (.5) and those outside the picture (0)."""

    min_score = 0.3

    def __init__(self, people: PeopleMode) -> None:
        self._people = people

    def keypoints(self, scene: Scene) -> Keypoints:
        """Raises ClipError for a source that does not render its frames."""
        truths = _truths(scene)
        count = len(truths[0].joints) if self._people == "all" else 1
        points = np.stack([truth.joints[:count] for truth in truths]).astype(np.float32)
        hidden = np.stack([truth.hidden[:count] for truth in truths])
        height, width = scene.frames[0].shape[:2]
        x, y = points[..., 0], points[..., 1]
        inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
        points[..., 2] *= np.where(inside, np.where(hidden, HIDDEN_SCORE, 1.0), 0.0)
        return Keypoints(points, OPENPOSE_134).transformed(scene.crop.to_clip)


class SourceDepth:
    """Metres along the viewing axis, of the people wanted or of all that is seen."""

    metres = True
    unit = "metres along the viewing axis"

    def __init__(self, people: PeopleMode, *, whole_frame: bool) -> None:
        self._people = people
        self._whole_frame = whole_frame
        self.label = "true depth, rendered"

    def depths(self, scene: Scene, masks: np.ndarray | None) -> np.ndarray:
        """(T, S, S) float32. Raises ClipError for a source that does not render its frames."""
        truths = _truths(scene)
        if self._whole_frame:
            return np.stack([cropped(truth.depth, scene.crop) for truth in truths])
        return np.stack([self._person(truth, scene.crop) for truth in truths])

    def _person(self, truth: Truth, crop: Crop) -> np.ndarray:
        of = truth.person if self._people == "all" else truth.person[:1]
        nearest = np.where(np.isnan(of), np.inf, of).min(0)
        # Depths of a person and of what is behind are not mixed: the nearest pixel's is taken.
        clip = cv2.warpAffine(
            nearest,
            crop.to_clip,
            (crop.size, crop.size),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=float("inf"),
        )
        return np.where(np.isfinite(clip), clip, np.nan).astype(np.float32)
