"""Real frames, small, and their masks: what the miniatures of the datasets are made of."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from preprocess.video import VideoFile


@pytest.fixture(scope="session")
def real_frames(footage) -> list[np.ndarray]:
    """Eight frames of a person, (160, 90, 3) RGB."""
    frames = VideoFile(footage("cam01.mp4")).read(range(0, 80, 10))
    return [cv2.resize(f.rgb, (90, 160), interpolation=cv2.INTER_AREA) for f in frames]


@pytest.fixture(scope="session")
def real_masks(real_frames) -> list[np.ndarray]:
    """A mask for each frame: not its person's, but unlike that of every other frame."""
    masks = []
    for i in range(len(real_frames)):
        mask = np.zeros((160, 90, 3), np.uint8)
        cv2.ellipse(mask, (45, 80), (20 + i, 60), 0, 0, 360, (255, 255, 255), -1)
        masks.append(mask)
    return masks


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """An image's file as bytes: encoded(rgb) as PNG, which loses nothing, or another suffix."""

    def encode(rgb: np.ndarray, suffix: str = ".png") -> bytes:
        ok, content = cv2.imencode(suffix, rgb[..., ::-1])
        assert ok
        return content.tobytes()

    return encode


@pytest.fixture(scope="session")
def read() -> Callable[..., np.ndarray]:
    """The image at an index of a `FrameReader`."""

    def read_one(reader, index=0):
        (frame,) = reader.read((index,))
        assert frame.index == index
        return frame.rgb

    return read_one
