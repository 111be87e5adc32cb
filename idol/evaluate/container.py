"""A lossy video as published scripts write snippets to it and read them back (imageio, H.264)."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Interpolation

from idol.errors import IdolError
from idol.evaluate.protocols import Container
from idol.mp4 import REPEATABLE
from shards.sample.upright import Turn

__all__ = ["read_video", "through_container", "write_video"]


def write_video(frames: np.ndarray, container: Container) -> bytes:
    """An mp4 of (F, H, W, 3) uint8 RGB frames, scaled up to whole blocks first."""
    file = io.BytesIO()
    height, width = (-(-side // container.block) * container.block for side in frames.shape[1:3])
    with av.open(file, "w", format="mp4") as video:
        stream = video.add_stream(container.codec, rate=container.fps)
        stream.width, stream.height, stream.pix_fmt = width, height, container.pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, container.fps)
        stream.options = {"crf": str(container.crf), "preset": container.preset} | REPEATABLE
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = frame.reformat(
                width, height, container.pixels, interpolation=Interpolation.BICUBIC
            )
            frame.pts, frame.time_base = number, Fraction(1, container.fps)
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    return file.getvalue()


def read_video(file: Path | BinaryIO) -> np.ndarray:
    """All frames of a video as they are shown, (F, H, W, 3) uint8 RGB.

    Raises IdolError for what is no video or has no frames.
    """
    source = str(file) if isinstance(file, Path) else file
    try:
        with av.open(source) as video:
            frames = [
                Turn.of_frame(frame).apply(
                    frame.to_ndarray(format="rgb24", interpolation=Interpolation.BICUBIC)
                )
                for frame in video.decode(video=0)
            ]
    except (FFmpegError, IndexError) as error:
        raise IdolError(f"{file}: cannot be read as a video ({error})") from error
    if not frames:
        raise IdolError(f"{file}: has no frames")
    return np.stack(frames)


def through_container(frames: np.ndarray, container: Container) -> np.ndarray:
    """What is left of frames that were written to a container and read back."""
    return read_video(io.BytesIO(write_video(frames, container)))
