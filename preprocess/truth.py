"""What is true of frames that were rendered, and so is known and not found."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["TrueCamera", "Truth", "TruthReader"]


@dataclass(frozen=True, eq=False)
class TrueCamera:
    """A camera without distortion at one moment. Pixels' centres are at integers.

    `focal` and `centre` in pixels. `turn` (3, 3) and `place` (3,): a point p of the world, in
    metres, is turn @ (p - place) in the camera's axes: x right, y down, z away.
    """

    focal: float
    centre: tuple[float, float]
    turn: np.ndarray
    place: np.ndarray


@dataclass(frozen=True, eq=False)
class Truth:
    """All that is true of a rendered frame of H x W pixels with P people, the subject first.

    `masks`     (P, H, W) uint8, how much of each pixel a person covers, 255 for all.
    `joints`    (P, 134, 3) float32: x, y in pixels, and 1 where the body defines the joint, else 0.
    `space`     (P, 134, 3) float32: the same joints in metres in the camera's axes, else 0.
    `hidden`    (P, 134) bool: behind something or somebody, or outside the frame.
    `person`    (P, H, W) float32, metres along the viewing axis of each person, NaN where they
                are not.
    `depth`     (H, W) float32, likewise of all that is seen.
    `normals`   (H, W, 3) float32 of people, unit vectors: x right, y down, z away; 0 elsewhere.
    `camera`    where it stands and how it sees.
    """

    masks: np.ndarray
    joints: np.ndarray
    space: np.ndarray
    hidden: np.ndarray
    person: np.ndarray
    depth: np.ndarray
    normals: np.ndarray
    camera: TrueCamera

    def mask_of(self, people: str) -> np.ndarray:
        """(H, W) uint8 of the subject, or with "all" of everybody."""
        mask: np.ndarray = self.masks.max(0) if people == "all" else self.masks[0]
        return mask


class TruthReader(Protocol):
    """Where the truth about a video's frames comes from."""

    def truth(self, indices: Sequence[int]) -> Iterator[Truth]:
        """Of the frames at strictly increasing indices."""
        ...

    def flow(self, index: int, following: int) -> tuple[np.ndarray, np.ndarray] | None:
        """(H, W, 2) float32: how many pixels to the right and down what a frame shows lies in
        another one; (H, W) bool, whether it is seen there. None where the video has no such frame.
        """
        ...

    def about(self) -> Mapping[str, Any]:
        """What was drawn, in words and numbers: under `people` of each their clothes, motion and
        build, the subject first."""
        ...

    def fingerprint(self) -> str:
        """Tells another truth from this one."""
        ...
