"""An invisible mark in generated pictures, and finding it again.

rivaGAN (Zhang et al., 2019), two ONNX networks, writes 32 bits into a picture of 256 x 256 pixels
by changing each value by 2 of 255. Here it is 2.4, rounded to 2 in some places and to 3 in others
by a fixed pattern, so that the PSNR is above 40 dB whatever the picture: without it H.264 took the
mark out of more pictures of flat places.
The same 32 bits are written always: what is asked later is whether they are there, not whose.

A larger picture gets the mark of its copy at 256 x 256, enlarged, and a mark is looked for at
256 x 256: it survives that the picture is scaled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from idol.generate.errors import GenerationError
from idol.generate.inputs.preprocessing import external_file

__all__ = [
    "ALARM",
    "MESSAGE",
    "SIDE",
    "Detection",
    "Watermark",
    "detect",
    "judge",
    "p_value",
    "read",
]

MESSAGE = b"IDOL"
SIDE = 256  # the smallest picture that holds the mark, and the size at which it is looked for
ALARM = 1e-5  # a picture whose p-value is below is said to be marked

# Frames of one mark on a machine without a GPU, where a mark takes .5 to 1 s.
_EVERY_ON_CPU = 8
# Of 255: a frame that differs by more on average gets a mark of its own, for the network reads
# a mark that was made for another picture badly.
_OTHER = 3
# Over the network's own change. (2.4 is rounded to a mean square of 6, which is 40.3 dB.)
_STRENGTH = 1.2
# Ordered dithering: what is added before rounding down (Bayer's matrix of 4 x 4 pixels).
_THRESHOLDS = (
    np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.float32) + 0.5
) / 16
_BITS = np.unpackbits(np.frombuffer(MESSAGE, np.uint8))
# A picture that is wider or higher by this is looked at in its square ends too: a video beside its
# depth has its mark there.
_LONG = 1.5


@dataclass(frozen=True)
class Detection:
    """What was found in one picture, or in the frames of one video.

    `bits`      32 characters 0 or 1: what was read.
    `agreeing`  how many are those of `MESSAGE`; about 16 without a mark.
    `p_value`   the chance of as many or more if each bit were a coin's, times the looks taken.
    `frames`    how many frames were read together.
    """

    bits: str
    agreeing: int
    p_value: float
    frames: int

    @property
    def marked(self) -> bool:
        """Whether the mark is there."""
        return self.p_value < ALARM


class Watermark:
    """Writes the mark into the frames of a video."""

    def __init__(self, encoder: Any, every: int, root: Path | None = None) -> None:
        """`encoder`: an onnxruntime session. `every`, `root`: as for `load`."""
        self._encoder = encoder
        self.every = every
        self.root = root

    @classmethod
    def load(cls, every: int | None = None, root: Path | None = None) -> Watermark:
        """The mark's writer, on a GPU where onnxruntime has one.

        Args:
            every: a mark is computed for the first frame and every so many, and for what has
                become another picture since, and written into those that follow as well; 1 on a
                GPU and 8 on a CPU unless it is given.
            root: folder of external files; `idol-prep weights`'s by default.

        Raises:
            GenerationError: the network is not there, `every` is below 1, or onnxruntime is not
                installed.
        """
        if every is not None and every < 1:
            raise GenerationError(f"a mark for every {every} frames: give 1 or more")
        encoder = _session("rivagan/rivagan_encoder.onnx", root)
        return cls(encoder, every or (1 if _on_gpu(encoder) else _EVERY_ON_CPU), root)

    def mark(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Each frame with its mark, as it comes.

        Args:
            frames: (H, W, 3) uint8 RGB each, none side below 256; all of one size.

        Raises:
            ValueError: a frame is smaller.
        """
        change = np.zeros(0, np.float32)
        source = np.zeros(0, np.int16)
        for index, frame in enumerate(frames):
            if min(frame.shape[:2]) < SIDE:
                raise ValueError(f"a mark needs {SIDE} pixels: enlarge {frame.shape[:2]} first")
            if index % self.every == 0 or np.abs(frame - source).mean() > _OTHER:
                change = self._change(frame)
                source = frame.astype(np.int16)
            yield np.clip(np.floor(frame + change), 0, 255).astype(np.uint8)

    def _change(self, frame: np.ndarray) -> np.ndarray:
        """What the mark adds to a frame before it is rounded down: (H, W, 3) float32."""
        given = _network_input(frame)
        bits = _BITS.astype(np.float32)[None]
        (marked,) = self._encoder.run(None, {"frame": given, "data": bits})
        change = np.moveaxis((marked - given)[0, :, 0], 0, -1) * np.float32(127.5 * _STRENGTH)
        height, width = frame.shape[:2]
        # Linear: no value between two is beyond them, so the bound on the change holds.
        change = cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR)
        tiles = np.tile(_THRESHOLDS, (-(-height // 4), -(-width // 4)))
        return change + tiles[:height, :width, None]


def detect(frames: Sequence[np.ndarray], root: Path | None = None) -> Detection:
    """Look for the mark in the frames of one video, or in one picture: `judge` of what is `read`.

    Args:
        frames: one or more of (H, W, 3) uint8 RGB, of any one size.
        root: as for `Watermark.load`.

    Raises:
        GenerationError: the network is not there, or onnxruntime is not installed.
        ValueError: there is no frame.
    """
    return judge([read(frame, root) for frame in frames])


def read(frame: np.ndarray, root: Path | None = None) -> np.ndarray:
    """What the network says of a frame, (views, 32) float32: each bit is 1 where it is positive.

    There are three views of a long frame, the whole and its square ends, and else one.
    Raises GenerationError as `detect`.
    """
    decoder = _decoder(root)
    return np.concatenate(
        [decoder.run(None, {"frame": _network_input(view)})[0] for view in _views(frame)]
    )


def judge(said: Sequence[np.ndarray]) -> Detection:
    """Whether frames that were `read` carry the mark.

    Each frame is judged alone and all are together, on average, so that frames that lost a bit
    are outvoted, and a few marked ones among others are found.

    Raises ValueError where there is no frame.
    """
    if not said:
        raise ValueError("there is no frame to look at")
    looks = np.concatenate(said)
    if len(said) > 1:
        looks = np.concatenate([np.mean(said, axis=0), looks])
    agreeing = ((looks > 0) == _BITS).sum(axis=1)
    best = int(agreeing.argmax())
    bits = "".join("1" if bit else "0" for bit in looks[best] > 0)
    chance = min(1.0, p_value(int(agreeing[best])) * len(looks))
    return Detection(bits, int(agreeing[best]), chance, len(said))


def p_value(agreeing: int) -> float:
    """The chance that so many bits or more agree if each is a coin's."""
    ways = sum(comb(len(_BITS), n) for n in range(agreeing, len(_BITS) + 1))
    return ways / 2 ** len(_BITS)


def _views(frame: np.ndarray) -> list[np.ndarray]:
    """Where in a frame the mark may be."""
    height, width = frame.shape[:2]
    views = [frame]
    if width >= _LONG * height:
        views += [frame[:, :height], frame[:, -height:]]
    elif height >= _LONG * width:
        views += [frame[:width], frame[-width:]]
    return views


def _network_input(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (1, 3, 1, 256, 256) float32 in [-1, 1]."""
    larger = min(frame.shape[:2]) > SIDE
    how = cv2.INTER_AREA if larger else cv2.INTER_CUBIC
    small = cv2.resize(frame, (SIDE, SIDE), interpolation=how)
    return np.moveaxis(small.astype(np.float32) / np.float32(127.5) - 1, -1, 0)[None, :, None]


@lru_cache(maxsize=1)
def _decoder(root: Path | None) -> Any:
    return _session("rivagan/rivagan_decoder.onnx", root)


def _session(name: str, root: Path | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise GenerationError(
            "the invisible mark needs onnxruntime: `make install-generate` installs it"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads(os.environ.get("OMP_NUM_THREADS", ""))
    gpu = "CUDAExecutionProvider"
    providers = [gpu] if gpu in onnxruntime.get_available_providers() else []
    path = str(external_file(name, root))
    return onnxruntime.InferenceSession(path, options, providers=[*providers, _CPU])


def _threads(omp: str) -> int:
    """As many as OpenMP's, whose variable idol's commands limit to what a container may use: a
    number, or one for each level of nesting as in 4,2. 0, the session's own choice, for others."""
    outermost = omp.partition(",")[0].strip()
    return int(outermost) if re.fullmatch(r"[0-9]{1,4}", outermost) else 0


_CPU = "CPUExecutionProvider"


def _on_gpu(session: Any) -> bool:
    return session.get_providers()[0] != _CPU
