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

__all__ = ["SourceDepth", "SourceFlow", "SourceNormals", "SourcePose"]

# Of a joint that is in the picture, but behind something; 1 of one that is seen.
_HIDDEN_SCORE = 0.5


def _truths(scene: Scene) -> tuple[Truth, ...]:
    if len(scene.truths) != len(scene.pictures):
        raise ClipError("nothing true is known of this source: it did not render its frames")
    return scene.truths


class SourcePose:
    """Scores tell seen joints (1) from hidden ones (.5) and those outside the picture (0)."""

    min_score = 0.3

    def __init__(self, people: PeopleMode) -> None:
        self._people = people

    def keypoints(self, scene: Scene) -> Keypoints:
        """Raises ClipError for a source that does not render its frames."""
        truths = _truths(scene)
        count = self._count(truths)
        points = np.stack([truth.joints[:count] for truth in truths]).astype(np.float32)
        hidden = np.stack([truth.hidden[:count] for truth in truths])
        height, width = scene.pictures[0].shape[:2]
        x, y = points[..., 0], points[..., 1]
        inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
        points[..., 2] *= np.where(inside, np.where(hidden, _HIDDEN_SCORE, 1.0), 0.0)
        return Keypoints(points, OPENPOSE_134).transformed(scene.crop.to_clip)

    def space(self, scene: Scene) -> np.ndarray:
        """(T, people, 134, 3) float32, metres in the camera's axes, 0 of undefined joints."""
        truths = _truths(scene)
        return np.stack([truth.space[: self._count(truths)] for truth in truths])

    def _count(self, truths: tuple[Truth, ...]) -> int:
        return len(truths[0].joints) if self._people == "all" else 1


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
        clip = _nearest(nearest, crop, outside=float("inf"))
        return np.where(np.isfinite(clip), clip, np.nan).astype(np.float32)


class SourceNormals:
    """Of the people wanted, where a pixel's centre shows them."""

    def __init__(self, people: PeopleMode) -> None:
        self._people = people

    def normals(self, scene: Scene) -> np.ndarray:
        """(T, S, S, 3) uint8. Raises ClipError for a source that does not render its frames."""
        return np.stack([self._of(truth, scene.crop) for truth in _truths(scene)])

    def _of(self, truth: Truth, crop: Crop) -> np.ndarray:
        of = truth.person if self._people == "all" else truth.person[:1]
        theirs = (of == truth.depth).any(0)
        normals = np.where(theirs[..., None], truth.normals, 0)
        stored = np.rint((normals + 1) * 127.5).astype(np.uint8)  # rint(127.5) is 128
        return _nearest(stored, crop, outside=128)


class SourceFlow:
    """To the clip's next frame; of its last, as far again, where the video goes on."""

    def flow(self, scene: Scene) -> np.ndarray:
        """(T, S, S, 3) float32. Raises ClipError for a source that does not render its frames."""
        _truths(scene)
        assert scene.known is not None
        indices = scene.indices
        step = indices[1] - indices[0] if len(indices) > 1 else 1
        crop = scene.crop
        flows = np.zeros((len(indices), crop.size, crop.size, 3), np.float32)
        columns, rows = np.meshgrid(np.arange(crop.size), np.arange(crop.size))
        for t, index in enumerate(indices):
            found = scene.known.flow(index, index + step)
            if found is None:
                continue
            moved, seen = found
            u, v = np.moveaxis(_nearest(moved * (crop.size / crop.side), crop, outside=0), -1, 0)
            valid = _nearest(seen.astype(np.uint8), crop, outside=0) == 1
            for at in (columns + u, rows + v):
                valid &= (at >= -0.5) & (at < crop.size - 0.5)
            flows[t][valid] = np.stack([u, v, np.ones_like(u)], -1)[valid]
        return flows


def _nearest(image: np.ndarray, crop: Crop, *, outside: float) -> np.ndarray:
    """(H, W) or (H, W, C) as the clip is cropped: what lies side by side is not mixed, so that
    nothing is said that is true of no pixel."""
    return cv2.warpAffine(
        image,
        crop.to_clip,
        (crop.size, crop.size),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(outside,) * 4,
    )
