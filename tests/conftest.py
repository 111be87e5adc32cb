"""What tests share: the fetched weights and footage, and videos made for the occasion."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

os.environ.update(WDS_SECURE="1", HF_HUB_OFFLINE="1", RAY_USAGE_STATS_ENABLED="0")

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from preprocess import weights
from tests.browser import browse, chromium  # noqa: F401
from tests.processes import start  # noqa: F401

# The same examples every time, however long a loaded machine takes for them.
settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")


@pytest.fixture(params=["ENOLCK", "ENOSYS"])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file system has locks, as network shares may have none."""
    number = getattr(errno, request.param)

    def refuse(file: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.fixture(scope="session")
def locate() -> Callable[[str], Path]:
    """The path of a lite network by its file name."""
    return lambda name: weights.locate(f"lite/{name}")


@pytest.fixture(scope="session")
def footage() -> Callable[[str], Path]:
    """The path of a sample video by its file name."""
    return lambda name: weights.locate(f"footage/{name}")


def numbered_frame(index: int, width: int = 96, height: int = 64) -> np.ndarray:
    """(height, width, 3) uint8 whose left half reads as `index` in 8 black or white bars, and
    whose top right corner is red: enough to tell which frame it is and which way up."""
    frame = np.full((height, width, 3), 90, np.uint8)
    bar = height // 8
    for bit in range(8):
        frame[bit * bar : (bit + 1) * bar, : width // 2] = 230 if index >> bit & 1 else 25
    frame[: height // 3, 3 * width // 4 :] = (220, 30, 30)
    return frame


def read_number(frame: np.ndarray) -> int:
    """The index that `numbered_frame` wrote, from a frame of any size."""
    height, width = frame.shape[:2]
    bar = height // 8
    bits = [frame[b * bar + bar // 2, width // 4].mean() > 128 for b in range(8)]
    return sum(1 << b for b, on in enumerate(bits) if on)


@pytest.fixture
def make_video() -> Callable[..., Path]:
    """Encode numbered frames: make_video(path, frames, width, height, codec, pts, rotation)."""

    def make(
        path: Path,
        frames: int = 40,
        *,
        width: int = 96,
        height: int = 64,
        codec: str = "libx264",
        pts: list[int] | None = None,
        rotation: int = 0,
        gop: int = 12,
        aspect: Fraction = Fraction(1),
        images: list[np.ndarray] | None = None,
        options: dict[str, str] | None = None,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream(codec, rate=30)
            stream.width, stream.height = width, height
            # 4:2:0 needs even sizes; 4:4:4 shows that odd ones work
            odd = width % 2 or height % 2
            stream.pix_fmt = "yuv444p" if odd else "yuv420p"
            # MPEG-4 part 2 and MPEG-2 count frames; the others carry free time stamps.
            ticks = 600 if codec in ("libx264", "libvpx-vp9") else 30
            stream.codec_context.time_base = Fraction(1, ticks)
            stream.gop_size = gop
            stream.codec_context.sample_aspect_ratio = aspect
            if codec == "libx264":
                stream.options = {"crf": "8", "bf": "2", "threads": "1"}
            if rotation:
                stream.set_display_rotation(rotation)
            for index in range(frames):
                image = images[index] if images else numbered_frame(index, width, height)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = pts[index] if pts else index * ticks // 30
                frame.time_base = Fraction(1, ticks)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


@pytest.fixture
def write_image() -> Callable[[Path, np.ndarray], Path]:
    """Write an RGB image, making its folders."""

    def write(path: Path, rgb: np.ndarray) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), rgb[..., ::-1])
        return path

    return write
