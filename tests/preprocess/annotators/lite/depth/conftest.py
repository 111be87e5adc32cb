"""People for the depth tests: one built by hand, and some rendered ones with known depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from preprocess.annotators.lite.depth import BodyPose

# A person facing the camera, arms down, 100 pixels a metre, hips at (128, 130) of a 256 image.
_MIDDLE = {0: (0.0, -0.75, -0.1)}
_LEFT = {  # BlazePose index of the left point: x, y, z in metres; the right one is next, mirrored
    7: (0.08, -0.77, 0.0),
    9: (0.03, -0.70, -0.1),
    11: (0.18, -0.50, 0.0),
    13: (0.22, -0.22, 0.0),
    15: (0.24, 0.03, 0.0),
    17: (0.26, 0.11, 0.0),
    19: (0.24, 0.12, 0.0),
    21: (0.21, 0.09, 0.0),
    23: (0.10, 0.00, 0.0),
    25: (0.11, 0.42, 0.0),
    27: (0.11, 0.83, 0.0),
    29: (0.11, 0.88, 0.04),
    31: (0.12, 0.89, -0.14),
}


def _standing_world() -> np.ndarray:
    """(33, 3) metres relative to the mid-hip."""
    world = np.zeros((33, 3))
    for i, point in _MIDDLE.items():
        world[i] = point
    for i, (x, y, z) in _LEFT.items():
        world[i], world[i + 1] = (x, y, z), (-x, y, z)
    for i, side in ((1, 1), (4, -1)):  # eyes: inner, middle, outer
        world[i : i + 3] = [(side * x, -0.79, -0.09) for x in (0.02, 0.03, 0.04)]
    return world


def _seen(world: np.ndarray) -> BodyPose:
    landmarks = np.column_stack([world[:, :2] * 100 + (128, 130), np.full(len(world), 0.9)])
    return BodyPose(landmarks.astype(np.float32), world.astype(np.float32))


@pytest.fixture
def world() -> np.ndarray:
    return _standing_world()


@pytest.fixture
def seen() -> Callable[[np.ndarray], BodyPose]:
    """Makes the pose of a (33, 3) world, seen by a camera far away."""
    return _seen


@pytest.fixture
def pose() -> BodyPose:
    return _seen(_standing_world())


@pytest.fixture
def mask() -> np.ndarray:
    """(256, 256) uint8: a generous outline of the standing person, with hair and a skirt."""
    outline = np.zeros((256, 256), np.uint8)
    cv2.ellipse(outline, (128, 50), (16, 22), 0, 0, 360, 255, -1)
    cv2.rectangle(outline, (106, 66), (150, 140), 255, -1)
    cv2.rectangle(outline, (98, 74), (158, 148), 255, -1)
    cv2.fillPoly(outline, [np.array([(108, 130), (148, 130), (170, 200), (86, 200)])], 255)
    cv2.rectangle(outline, (108, 196), (148, 225), 255, -1)
    return outline


@dataclass(frozen=True, eq=False)
class Body:
    """A rendered motion: see fixtures/record_bodies.py."""

    name: str
    depth: np.ndarray
    mask: np.ndarray
    exact: list[BodyPose]
    noisy: list[BodyPose]
    world: np.ndarray


def _poses(landmarks: np.ndarray, world: np.ndarray) -> list[BodyPose]:
    return [BodyPose(a, b) for a, b in zip(landmarks, world, strict=True)]


@pytest.fixture(scope="session")
def bodies() -> list[Body]:
    with np.load(Path(__file__).parent / "fixtures" / "bodies.npz") as archive:
        a = dict(archive)
    found = []
    for i in range(sum(key.endswith(".name") for key in a)):
        stored = a[f"{i}.depth"]
        depth = np.where(stored == 0, np.nan, (stored - 5000.0) / 1000).astype(np.float32)
        points, world = a[f"{i}.points"], a[f"{i}.world"]
        landmarks = points.copy()
        landmarks[..., 2] = a[f"{i}.noisy_landmarks"][..., 2]
        found.append(
            Body(
                str(a[f"{i}.name"]),
                depth,
                np.where(stored == 0, 0, 255).astype(np.uint8),
                _poses(landmarks, world),
                _poses(a[f"{i}.noisy_landmarks"], a[f"{i}.noisy_world"]),
                world,
            )
        )
    return found
