"""What goes into generating a clip and what comes out: a photo, a place and a motion; frames and
their depth. F frames of S x S pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from idol.generate.errors import GenerationError
from shards.sample.clip import Clip

__all__ = ["ClipConditions", "DepthKind", "Generated", "conditions_of"]

DepthKind = Literal["person", "frame"]

_FPS = 25.0


@dataclass(frozen=True, eq=False)
class ClipConditions:
    """What a clip is generated from.

    `foreground`, `foreground_mask`
                 (H, W, 3) and (H, W) uint8 of any size: the person in a crop of its own, with its
                 surroundings, and its mask, 255 where the person is.
    `background`, `background_mask`
                 (S, S, 3) and (S, S) uint8: the place, under the frames pixel by pixel, and where
                 it is not known (255): under the person, and outside the photo. The hole is cut
                 by the pipeline.
    `skeletons`  (F, S, S, 3) uint8: the motion, drawn on black as `shards.sample.skeleton` does.
    `fps`        frames a second, above 0.

    Raises GenerationError, naming everything of another shape or dtype.
    """

    foreground: np.ndarray
    foreground_mask: np.ndarray
    background: np.ndarray
    background_mask: np.ndarray
    skeletons: np.ndarray
    fps: float

    def __post_init__(self) -> None:
        shapes = {
            "foreground": (None, None, 3),
            "foreground_mask": self.foreground.shape[:2],
            "background": (None, None, 3),
            "background_mask": self.background.shape[:2],
            "skeletons": (None, *self.background.shape[:2], 3),
        }
        mistakes = []
        for name, shape in shapes.items():
            array = getattr(self, name)
            fits = array.dtype == np.uint8 and array.ndim == len(shape) and array.size
            if not fits or any(w not in (None, n) for n, w in zip(array.shape, shape, strict=True)):
                wanted = " x ".join("any" if n is None else str(n) for n in shape)
                mistakes.append(f"{name} is {array.dtype}{array.shape}, not uint8 of {wanted}")
        if not self.fps > 0:
            mistakes.append(f"fps is {self.fps}, and must be above 0")
        GenerationError.raise_if_any(mistakes, "no clip can be generated from this")

    @property
    def frames(self) -> int:
        """F."""
        return len(self.skeletons)

    @property
    def size(self) -> int:
        """S, height and width of the frames."""
        return int(self.skeletons.shape[1])


@dataclass(frozen=True, eq=False)
class Generated:
    """A generated clip.

    `frames`      (F, S, S, 3) uint8 RGB.
    `depth`       (F, S, S) float32 in [0, 1], without NaN: of the person 0 near to .75 far and 1
                  the background, or of the whole frame 0 near to 1 far, as `depth_kind` says.
    `confidence`  (F, S, S) float32 in [0, 1]: how far the generated colour is one that means a
                  depth; low at edges, where colours are mixed.
    `depth_pictures`
                  (F, S, S, 3) uint8 RGB: the depth stream as generated, of which depth was read.
    `depth_kind`  which depth the model learned.
    `fps`         frames a second.
    `metres`      (F, S, S) float32, NaN in the background; None where the model's data had no
                  metric range that was the same for all videos, so that depth is relative.
    """

    frames: np.ndarray
    depth: np.ndarray
    confidence: np.ndarray
    depth_pictures: np.ndarray
    depth_kind: DepthKind
    fps: float
    metres: np.ndarray | None = None


def conditions_of(clip: Clip) -> ClipConditions:
    """The conditions of a clip of a dataset: its own reference, background and skeletons.

    Of a clip whose json names no frame rate, such as an image, it is 25.

    Raises:
        GenerationError: naming the modalities that it lacks.
    """
    arrays = {
        "foreground": clip.reference,
        "foreground_mask": clip.reference_mask,
        "background": clip.background,
        "background_mask": clip.background_mask,
        "skeletons": clip.pose,
    }
    if absent := [name for name, array in arrays.items() if array is None]:
        raise GenerationError(
            f"clip {clip.key} has no {', '.join(absent)}: build with a mask and a pose annotator"
        )
    given = {name: array for name, array in arrays.items() if array is not None}
    return ClipConditions(**given, fps=float(clip.info.get("fps") or _FPS))
