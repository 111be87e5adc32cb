"""Reading a video file's frames exactly.

A frame's index counts presentation order from 0. Indices are resolved through the time stamps of
all packets (read without decoding), decoding starts at the last key frame at or before the wanted
frame, and a frame is taken only when its time stamp is the wanted one: a seek may land anywhere,
it cannot be off by one. Files without usable time stamps are decoded from the start and counted.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av

from preprocess.errors import ClipError, InputError
from preprocess.frames import Frame, frame_rate
from preprocess.picture import show
from shards.files.digest import sha256

__all__ = ["Timeline", "VideoFile"]

# What `fingerprint` reads at either end of a file.
_END_BYTES = 1 << 16


@dataclass(frozen=True)
class Timeline:
    """A video stream's frames in presentation order, from its packets.

    `pts` is empty when time stamps are missing or repeated; frames can only be counted then.
    """

    frames: int
    fps: float
    pts: tuple[int, ...]
    keyframes: tuple[int, ...]  # sorted time stamps at which decoding can start
    time_base: float
    aspect: float  # width of a pixel by its height
    promised: int  # frames that the header names, 0 where it names none


@dataclass(frozen=True)
class VideoFile:
    """A video file, read with PyAV: no system ffmpeg is needed."""

    path: Path

    def timeline(self) -> Timeline:
        """Raises InputError when the file cannot be opened or has no video."""
        try:
            return _timeline(self.path, self.path.stat().st_mtime_ns)
        except (av.FFmpegError, OSError) as error:
            reason = error.strerror or error
            raise InputError(f"{self.path} cannot be read as a video: {reason}") from error

    def times(self) -> Sequence[float]:
        """Raises InputError as `timeline`."""
        timeline = self.timeline()
        if not timeline.pts:
            return [index / timeline.fps for index in range(timeline.frames)]
        return [(p - timeline.pts[0]) * timeline.time_base for p in timeline.pts]

    def fingerprint(self) -> str:
        """Of the file's size and its first and last 64 kB."""
        size = self.path.stat().st_size
        with open(self.path, "rb") as opened:
            ends = opened.read(_END_BYTES)
            opened.seek(max(size - _END_BYTES, 0))
            ends += opened.read()
        return sha256(b"%d " % size + ends)

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yield the frames at strictly increasing indices; raises ClipError as `FrameReader`."""
        try:
            timeline = self.timeline()
            if indices and max(indices) >= timeline.frames:
                raise _EndOfVideo(f"has {timeline.frames} frames, no frame {max(indices)}")
            with av.open(str(self.path)) as container:
                decode = _decode_at if timeline.pts else _decode_counting
                for index, frame in decode(container, timeline, indices):
                    if frame.is_corrupt:
                        raise ClipError(f"{self.path}: frame {index} is damaged")
                    start = timeline.pts[0] if timeline.pts else 0
                    known = frame.pts is not None
                    stamp = (frame.pts - start) * timeline.time_base if known else None
                    seconds = index / timeline.fps if stamp is None else stamp
                    rgb, notes = show(frame, timeline.aspect)
                    yield Frame(index, rgb, seconds, notes)
        except (av.FFmpegError, OSError) as error:
            raise ClipError(f"{self.path}: {error.strerror or error}") from error
        except (_EndOfVideo, InputError) as error:
            raise ClipError(f"{self.path}: {error}") from error


class _EndOfVideo(Exception):
    pass


class _SeekMissed(Exception):
    pass


@lru_cache(maxsize=64)
def _timeline(path: Path, mtime_ns: int) -> Timeline:
    pts: list[int | None] = []
    keyframes: list[int] = []
    hidden = 0
    with av.open(str(path)) as container:
        stream = _video_stream(container, path)
        try:
            for packet in container.demux(stream):
                hidden += packet.is_discard
                if packet.size and not packet.is_discard:
                    pts.append(packet.pts)
                    if packet.is_keyframe and packet.pts is not None:
                        keyframes.append(packet.pts)
        except av.FFmpegError:
            pass  # a truncated file ends here; `missing` tells, and the frames before are used
        fps = float(stream.average_rate or stream.guessed_rate or 25)
        time_base = float(stream.time_base or 1)
        aspect = float(stream.sample_aspect_ratio or 1)
        promised = max(stream.frames - hidden, 0)
    known = sorted(p for p in pts if p is not None)
    usable = len(known) == len(pts) == len(set(known)) and bool(keyframes)
    if usable:  # headers may name another rate than the frames have
        fps = round(frame_rate([p * time_base for p in known]), 3) or fps
    stamps = tuple(known) if usable else ()
    return Timeline(
        len(pts), fps, stamps, tuple(sorted(keyframes)), time_base, aspect or 1.0, promised
    )


def _video_stream(container: Any, path: Path) -> Any:
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        raise InputError(f"{path} has no video stream that can be decoded")
    stream.thread_type = "AUTO"
    return stream


def _decode_at(
    container: Any, timeline: Timeline, indices: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    path = Path(container.name)
    stream = _video_stream(container, path)
    decoded: Iterator[Any] | None = None
    position = -1  # presentation index of the last decoded frame
    for index in indices:
        target = timeline.pts[index]
        keyframe = timeline.keyframes[max(0, bisect_right(timeline.keyframes, target) - 1)]
        if decoded is None or keyframe > timeline.pts[max(position, 0)]:
            try:
                decoded = _seek(container, stream, keyframe, target)
            except _SeekMissed:
                # The container's index lies. Decoding from the start needs none.
                with av.open(str(path)) as again:
                    rest = [i for i in indices if i >= index]
                    yield from _decode_from_start(again, timeline, rest)
                return
        frame = next((f for f in decoded if f.pts is not None and f.pts >= target), None)
        if frame is None or frame.pts != target:
            raise _EndOfVideo(f"frame {index} of {timeline.frames} is missing or damaged")
        position = index
        yield index, frame


def _seek(container: Any, stream: Any, keyframe: int, target: int) -> Iterator[Any]:
    container.seek(keyframe, stream=stream)
    decoded = container.decode(stream)
    first = next(decoded, None)
    if first is None or first.pts is None or first.pts > target:
        raise _SeekMissed

    def frames() -> Iterator[Any]:
        yield first
        yield from decoded

    return frames()


def _decode_from_start(
    container: Any, timeline: Timeline, indices: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    wanted = {timeline.pts[index]: index for index in indices}
    for frame in container.decode(_video_stream(container, Path(container.name))):
        if frame.pts in wanted:
            yield wanted.pop(frame.pts), frame
            if not wanted:
                return
    missing = min(wanted.values())
    raise _EndOfVideo(f"frame {missing} of {timeline.frames} is missing or damaged")


def _decode_counting(
    container: Any, timeline: Timeline, indices: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    remaining = list(indices)
    for count, frame in enumerate(container.decode(_video_stream(container, Path(container.name)))):
        if remaining and count == remaining[0]:
            yield remaining.pop(0), frame
        if not remaining:
            return
    raise _EndOfVideo(f"frame {remaining[0]} of {timeline.frames} is missing or damaged")
