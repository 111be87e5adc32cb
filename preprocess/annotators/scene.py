"""What annotators see of a clip, and the interfaces that they fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from preprocess.annotators.tracked import PersonFrame
from preprocess.crop import Box, Crop
from preprocess.identity import Identity
from preprocess.pixels import Pixels, all_of
from preprocess.truth import Truth, TruthReader
from shards.sample.keypoints import Keypoints

__all__ = [
    "DensePoseAnnotator",
    "DepthAnnotator",
    "FlowAnnotator",
    "MaskAnnotator",
    "Masks",
    "NormalsAnnotator",
    "PeopleFinder",
    "PoseAnnotator",
    "Scene",
    "SeparateDepth",
    "SpaceAnnotator",
]


@dataclass(frozen=True, eq=False)
class Scene:
    """Frames of one video, in the source's pixels, and the square of them that is wanted.

    `pictures` (H, W, 3) uint8 RGB each, all of one size, or what becomes that by parts; `frames`
              is all of them.
    `people`  the lite tracker's person in each frame, None where there is none; empty when the
              tracker was not asked for.
    `crop`    the clip's square; annotations are given in its pixels.
    `fps`     frames per second between successive frames.
    `iuv`     DensePose of each frame, (H, W, 3) uint8 with the channels V, U and part index as in
              its published images, None where there is none; empty when the source has none.
    `masks`   the source's own mask of each frame, (H, W) uint8, None where there is none; empty
              when nobody asked for them.
    `indices` those of the frames in the video, and `identity` the subject, whom annotators of one
              person look for; empty and None where nobody was found in the survey, or all are
              wanted.
    `boxes`   the wanted people in each frame, in the source's pixels: by the mask annotator, else
              by the lite tracker; empty when the pose annotator did not ask for them.
    `truths`  what is true of each frame, where the source rendered it; else empty; `known` is
              where that comes from.
    """

    pictures: tuple[Pixels, ...]
    people: tuple[PersonFrame | None, ...]
    crop: Crop
    fps: float
    iuv: tuple[np.ndarray | None, ...] = ()
    masks: tuple[np.ndarray | None, ...] = ()
    boxes: tuple[tuple[Box, ...], ...] = ()
    truths: tuple[Truth, ...] = ()
    known: TruthReader | None = None
    indices: tuple[int, ...] = ()
    identity: Identity | None = None

    @property
    def frames(self) -> tuple[np.ndarray, ...]:
        """(H, W, 3) uint8 RGB each: for those who look at whole frames."""
        return tuple(map(all_of, self.pictures))


@dataclass(frozen=True, eq=False)
class Masks:
    """`clip`: (T, S, S) uint8, 0 background, 255 person, over the scene's crop.

    `boxes`: of each person in each frame, x0, y0, x1, y1 in the source's pixels.
    """

    clip: np.ndarray
    boxes: tuple[tuple[Box, ...], ...]


class MaskAnnotator(Protocol):
    """Makes the person masks, --mask.

    As every annotator it raises ClipError where a clip cannot be annotated, which quarantines that
    clip alone; any other exception does so too, as an error with its traceback.
    """

    def masks(self, scene: Scene) -> Masks:
        """The clip's masks; frames without anybody are empty."""
        ...


@runtime_checkable
class PeopleFinder(Protocol):
    """What mask and pose annotators are that look for people in whole frames."""

    def find(self, frames: Sequence[np.ndarray]) -> Sequence[Sequence[Box]]:
        """Everybody's box in each frame, (H, W, 3) uint8 RGB, each looked at by itself."""
        ...


class PoseAnnotator(Protocol):
    """Finds the key points, --pose. Raises as a `MaskAnnotator` does."""

    min_score: float  # in (0, 1]: joints scored lower are not drawn

    def keypoints(self, scene: Scene) -> Keypoints:
        """The people's joints in the T frames, in pixels of the clip; scores in [0, 1], all 0 in
        frames in which nobody is found."""
        ...


@runtime_checkable
class SpaceAnnotator(Protocol):
    """What a pose annotator is that knows where joints are in space."""

    def space(self, scene: Scene) -> np.ndarray:
        """(T, people, joints, 3) float32, metres in the camera's axes: x right, y down, z away;
        0 where a joint is not known."""
        ...


class NormalsAnnotator(Protocol):
    """Makes surface normals of the person, --normals. Raises as a `MaskAnnotator` does."""

    def normals(self, scene: Scene) -> np.ndarray:
        """(T, S, S, 3) uint8: 127.5 (n + 1) of unit vectors n in the camera's axes, x right, y
        down, z away; 128 where there is nobody."""
        ...


class FlowAnnotator(Protocol):
    """Makes optical flow, --flow. Raises as a `MaskAnnotator` does."""

    def flow(self, scene: Scene) -> np.ndarray:
        """(T, S, S, 3) float32: pixels of the clip to the right and down from each frame to the
        next, and 1 where what is seen is seen there too; else all 0."""
        ...


class DensePoseAnnotator(Protocol):
    """Makes DensePose of frames for annotators that read it. Raises as a `MaskAnnotator` does."""

    def iuv(self, frames: Sequence[np.ndarray]) -> Sequence[np.ndarray | None]:
        """For each frame, (H, W, 3) uint8 RGB, what `Scene.iuv` holds: (H, W, 3) uint8 with V, U
        and part index, None where there is none."""
        ...


class DepthAnnotator(Protocol):
    """Makes depth, --depth. Raises as a `MaskAnnotator` does."""

    label: str  # what kind of depth this is, for people who look at the data
    unit: str  # of the raw values
    metres: bool  # whether the raw values are metres, and so the same in any crop

    def depths(self, scene: Scene, masks: np.ndarray | None) -> np.ndarray:
        """(T, S, S) float32, smaller is nearer; NaN where there is no depth (the background).

        `masks`: (T, S, S) uint8, the person; None where nobody makes masks.
        """
        ...


@runtime_checkable
class SeparateDepth(Protocol):
    """What a depth annotator is that looks at each frame by itself."""

    def depths_of_each(
        self, scenes: Sequence[Scene], masks: Sequence[np.ndarray | None]
    ) -> list[np.ndarray]:
        """`depths` of scenes whose frames are all of one size: the network has them together."""
        ...
