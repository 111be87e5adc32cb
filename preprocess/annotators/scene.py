"""What annotators see of a clip, and the interfaces that they fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from preprocess.annotators.choices import Record
from preprocess.crop import Crop
from shards.sample.keypoints import Keypoints

if TYPE_CHECKING:
    from preprocess.annotators.lite.person import PersonFrame

__all__ = ["DepthAnnotator", "MaskAnnotator", "PoseAnnotator", "Scene"]


@dataclass(frozen=True, eq=False)
class Scene:
    """Frames of one video, in the source's pixels, and the square of them that is wanted.

    `frames`  (H, W, 3) uint8 RGB each, all of one size.
    `people`  the lite tracker's person in each frame, None where there is none; empty when the
              tracker was not asked for.
    `crop`    the clip's square; annotations are given in its pixels.
    `fps`     frames per second between successive frames.
    `iuv`     DensePose of each frame, (H, W, 3) uint8 with the channels V, U and part index as in
              its published pictures, None where there is none; empty when the source has none.
    `masks`   the source's own mask of each frame, (H, W) uint8, None where there is none; empty
              when nobody asked for them.
    """

    frames: tuple[np.ndarray, ...]
    people: tuple[PersonFrame | None, ...]
    crop: Crop
    fps: float
    iuv: tuple[np.ndarray | None, ...] = ()
    masks: tuple[np.ndarray | None, ...] = ()


class MaskAnnotator(Protocol):
    record: Record

    def masks(self, scene: Scene) -> np.ndarray:
        """(T, S, S) uint8: 0 background, 255 person."""
        ...


class PoseAnnotator(Protocol):
    record: Record
    min_score: float  # in (0, 1]: joints scored lower are not drawn

    def keypoints(self, scene: Scene) -> Keypoints:
        """The people's joints in pixels of the clip; nobody found means scores of 0."""
        ...


class DepthAnnotator(Protocol):
    record: Record
    label: str  # what kind of depth this is, for people who look at the data
    unit: str  # of the raw values
    metres: bool  # whether the raw values are metres, and so the same in any crop
    densepose: bool  # whether it wants the scene's `iuv`
    whole_frame: bool  # whether every pixel has depth; else the person alone

    @property
    def members(self) -> tuple[str, ...]:
        """Of a sample that it fills: "depth_person", "depth_frame" or both."""
        ...

    def depths(self, scene: Scene, masks: np.ndarray) -> np.ndarray:
        """(T, S, S) float32, smaller is nearer; NaN where there is no depth (the background).

        `masks`: (T, S, S) uint8, the person; all 255 for annotators of the whole frame.
        """
        ...
