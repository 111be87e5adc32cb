"""Which pictures a video file holds, in what order, when they are shown, where decoding can begin.

Containers speak of packets, and a packet need not be a picture. So the decoder is asked, once a
file, and what it says is kept in the user's cache folder. Only where packets are known to say the
same (`preprocess.packets`), as in MP4s from common tools, are they counted without decoding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import av
import numpy as np

from preprocess.containers import calm, number_of, numbered, open_stream, open_video
from preprocess.cut_off import unfinished
from preprocess.frames import frame_rate
from preprocess.matroska import losses
from preprocess.packets import Packets, read_packets, trustworthy
from preprocess.user_cache import cache_folder, keep, kept
from shards.files.digest import sha256

__all__ = ["PictureIndex", "fingerprint", "make_index", "picture_index"]

# Of the format of a kept index, and of what is in one.
_VERSION = 2
# Pictures of all indices that a process holds: 48 bytes each at most.
_HELD_PICTURES = 2_000_000
# What `fingerprint` reads at either end of a file.
_END_BYTES = 1 << 16
# Containers whose duration is stated, not estimated.
_WITH_DURATION = ("matroska", "flv", "asf")
# Decoders that give nothing out before it can be right.
_WAITS_FOR_KEY = ("h264", "hevc")
# Decoders that call every picture a key frame, though it is laid upon the one before.
_KEYS_LIE = ("apng",)
_USUAL_RATE = 25.0
# Durations that headers and tags state are rounded, and sound may end later than pictures.
_SLACK_STEPS = 4
_SLACK = 0.02


@dataclass(frozen=True, eq=False)
class PictureIndex:
    """A file's pictures in the order in which they are shown.

    Packets are numbered from 0 in the file's order. `starts` are where decoding can begin, in the
    file's order: all pictures from `start_pictures[s]` on whose packet is not before
    `start_packets[s]` can be had from there. `start_bytes` is where the packet lies in the file
    and `start_stamps` what to seek, where a seek can be checked by the former; else -1.
    """

    packets: np.ndarray  # (pictures,) int64
    times: np.ndarray  # (pictures,) float64: seconds since the first, rising
    start_pictures: np.ndarray  # (starts,) int64
    start_packets: np.ndarray  # (starts,) int64
    start_bytes: np.ndarray  # (starts,) int64
    start_stamps: np.ndarray  # (starts,) int64
    lost_after: np.ndarray  # (losses,) int64: the last packets before the container lost data
    fps: float
    aspect: float  # width of a pixel by its height
    cut_off: str  # in words what is there of a file that ends too early, else ""
    decoded: bool  # the decoder was asked
    # In words what the container lost, or why there is no picture, else "".
    lost: str = ""
    # The decoder does not say from which packets pictures come: they are counted from the start.
    counted: bool = False

    @property
    def frames(self) -> int:
        return len(self.packets)


_ARRAYS = tuple(f.name for f in fields(PictureIndex) if f.type is np.ndarray)
_VALUES = tuple(f.name for f in fields(PictureIndex) if f.name not in _ARRAYS)


class _Held:
    """Indices of the files that were read last, within `_HELD_PICTURES`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._indices: dict[tuple[Path, int], PictureIndex] = {}
        self._pictures = 0

    def get(self, key: tuple[Path, int]) -> PictureIndex | None:
        with self._lock:
            index = self._indices.pop(key, None)
            if index is not None:
                self._indices[key] = index
            return index

    def put(self, key: tuple[Path, int], index: PictureIndex) -> None:
        with self._lock:
            if key in self._indices:
                return
            self._indices[key] = index
            self._pictures += index.frames
            while self._pictures > _HELD_PICTURES and len(self._indices) > 1:
                oldest = next(iter(self._indices))
                self._pictures -= self._indices.pop(oldest).frames


_HELD = _Held()


def picture_index(path: Path) -> PictureIndex:
    """The file's index: held, kept, or made now.

    Raises InputError for a file without video, av.FFmpegError and OSError for one that cannot be
    read.
    """
    key = (path, path.stat().st_mtime_ns)
    index = _HELD.get(key)
    if index is None:
        place = cache_folder("pictures") / f"{_identity(path)}.npz"
        content = kept(place)
        if content is not None:
            index = _unpacked(content)
        else:
            index = make_index(path)
            if index.decoded:
                keep(place, _packed(index))
        _HELD.put(key, index)
    return index


def _identity(path: Path) -> str:
    """Of size, ends and time of change: damage in the middle changes the last alone."""
    made_by = (_VERSION, av.library_versions["libavcodec"], av.library_versions["libavformat"])
    said = f"{made_by} {path.stat().st_mtime_ns} {fingerprint(path)}"
    return sha256(said.encode())


def fingerprint(path: Path) -> str:
    """Of a file's size and its first and last 64 kB. Raises OSError."""
    size = path.stat().st_size
    with open(path, "rb") as opened:
        ends = opened.read(_END_BYTES)
        opened.seek(max(size - _END_BYTES, 0))
        ends += opened.read()
    return sha256(b"%d " % size + ends)


def _packed(index: PictureIndex) -> bytes:
    file = BytesIO()
    np.savez_compressed(file, **{name: getattr(index, name) for name in (*_ARRAYS, *_VALUES)})
    return file.getvalue()


def _unpacked(content: bytes) -> PictureIndex:
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        values = {name: arrays[name].item() for name in _VALUES}
        return PictureIndex(**{name: arrays[name] for name in _ARRAYS}, **values)


def make_index(path: Path) -> PictureIndex:
    """Read a file's packets, and decode them if they cannot be trusted. Raises as picture_index."""
    index = _make_index(path)
    return replace(index, lost=_lost(index)) if len(index.lost_after) else index


def _make_index(path: Path) -> PictureIndex:
    with open_video(path) as container:
        stream = open_stream(container, path)
        packets = read_packets(container, stream)
        if packets.by_pts:  # Matroska
            places = np.maximum.accumulate(np.array(packets.places, np.int64))
            before = np.searchsorted(places, losses(path)) - 1
            packets.lost_after = sorted({max(int(number), 0) for number in before})
            packets.sound = packets.sound and not packets.lost_after
        rate = float(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        time_base = float(stream.time_base or 1)
        trusted = trustworthy(container.format.name, stream.codec_context, packets)
        promised, duration = stream.frames, (container.duration or 0) / 1e6
        kind = container.format.name
    cut = _cut_off(path, kind, packets, promised, duration, 1 / rate)
    if trusted:
        return _from_packets(packets, time_base, rate, aspect, cut)
    pictures = _decode(path, threads=0)
    if not pictures.sound:
        # Several threads may conceal damage in more than one way.
        pictures = _decode(path, threads=1)
    if not cut and (packets.last_corrupt or _last_fails(path, packets, pictures)):
        cut = "its last packet is damaged"
    return _from_pictures(pictures, packets, time_base, rate, aspect, cut)


def _from_packets(
    packets: Packets, time_base: float, rate: float, aspect: float, cut: str
) -> PictureIndex:
    usable = np.flatnonzero(packets.usable)
    pts = np.array([packets.pts[number] for number in usable], np.int64)
    order = np.argsort(pts, kind="stable")
    picture_of = np.empty(len(usable), np.int64)
    picture_of[order] = np.arange(len(usable))
    keys = np.flatnonzero(np.array(packets.keys)[usable])
    times = (pts[order] - pts[order[0]]) * time_base
    return PictureIndex(
        usable[order],
        times,
        *_starts(picture_of[keys], usable[keys], packets),
        lost_after=np.array(packets.lost_after, np.int64),
        fps=round(frame_rate(times), 3) or rate,
        aspect=aspect,
        cut_off=cut,
        decoded=False,
    )


_Starts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _starts(pictures: np.ndarray, numbers: np.ndarray, packets: Packets) -> _Starts:
    """Where decoding can begin, and how to get there: by a seek where its end can be checked."""
    dts = [d for d in packets.dts if d is not None]
    places = packets.places
    # Where no time of decoding is known, that of showing is what the container seeks by.
    stamps = [d if d is not None else p for d, p in zip(packets.dts, packets.pts, strict=True)]
    if packets.by_pts:
        stamps = packets.pts
    seekable = (
        all(stamps[n] is not None for n in numbers)
        and all(a <= b for a, b in pairwise(dts))
        and min(places, default=-1) >= 0
        and len(set(places)) == len(places)
    )
    unknown = np.full(len(numbers), -1, np.int64)
    return (
        np.asarray(pictures, np.int64),
        np.asarray(numbers, np.int64),
        np.array([places[n] for n in numbers], np.int64) if seekable else unknown,
        np.array([stamps[n] for n in numbers], np.int64) if seekable else unknown,
    )


@dataclass
class _Pictures:
    """What the decoder gave, in its order."""

    codec: str
    packets: list[int | None] = field(default_factory=list)
    stamps: list[int | None] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    sound: bool = True
    last_failed: bool = False  # the last packet is none that the decoder takes


def _last_fails(path: Path, packets: Packets, pictures: _Pictures) -> bool:
    """Whether the decoder refuses the last packet; several threads do not say so at the end."""
    last = len(packets.usable) - 1
    if last in pictures.packets or pictures.last_failed:
        return pictures.last_failed
    key = max((n for n, is_key in enumerate(packets.keys) if is_key and n < last), default=0)
    return _decode(path, threads=1, first=key).last_failed


def _decode(path: Path, threads: int, first: int = 0) -> _Pictures:
    """Packets before `first` are passed over."""
    with open_video(path) as container:
        stream = open_stream(container, path)
        context = stream.codec_context
        context.thread_count = threads
        found = _Pictures(context.name)

        def decode(packet: Any) -> None:
            found.last_failed = found.last_failed and packet is None
            try:
                for frame in context.decode(packet):
                    found.packets.append(number_of(frame))
                    found.stamps.append(frame.pts)
                    found.keys.append(frame.key_frame)
                    found.sound = found.sound and not frame.is_corrupt
            except av.EOFError:
                pass
            except av.FFmpegError:
                found.sound = False
                found.last_failed = True

        try:
            try:
                for number, packet in numbered(container, stream):
                    if packet.size and number >= first:  # an empty one would be taken for the end
                        decode(packet)
            except av.FFmpegError:
                found.sound = False
            decode(None)
        finally:
            calm(context)
    return found


def _from_pictures(
    pictures: _Pictures,
    packets: Packets,
    time_base: float,
    rate: float,
    aspect: float,
    cut: str,
) -> PictureIndex:
    keys = np.flatnonzero(pictures.keys)
    skipped = 0
    if pictures.codec in _KEYS_LIE:
        keys = keys[:1]
    if pictures.codec not in _WAITS_FOR_KEY and len(keys):
        skipped = int(keys[0])  # predicted from what is not there
    numbers, stamps = pictures.packets[skipped:], pictures.stamps[skipped:]
    keys = keys - skipped
    # The first may hang on a key frame that an edit list hides.
    hanging = bool(not len(keys) or keys[0] > 0)
    if hanging:
        keys = np.insert(keys, 0, 0)[: len(numbers)]
    known = [number for number in numbers if number is not None]
    counted = len(set(known)) < len(numbers)
    times = _times(stamps, packets.pts, time_base, 1 / rate)
    if counted:
        unknown = np.full(len(keys), -1, np.int64)
        numbers_known = np.arange(skipped, skipped + len(numbers))
        starts: _Starts = (keys, numbers_known[keys], unknown, unknown)
    else:
        numbers_known = np.array(known, np.int64)
        bearing = set(known)
        firsts = [_first_packet(packets, bearing, number) for number in numbers_known[keys]]
        if hanging:
            firsts[:1] = [0] * len(firsts[:1])
        in_order = np.argsort(firsts, kind="stable")
        starts = _starts(keys[in_order], np.array(firsts, np.int64)[in_order], packets)
    return PictureIndex(
        numbers_known,
        times,
        *starts,
        lost_after=np.array(packets.lost_after, np.int64),
        fps=round(frame_rate(times), 3) or rate,
        aspect=aspect,
        cut_off=cut,
        decoded=True,
        lost="" if len(numbers) else _why_none(packets),
        counted=counted,
    )


def _first_packet(packets: Packets, bearing: set[int], number: int) -> int:
    """The packet with which a key frame begins: a first field may have one of its own."""
    first = number
    while first > 0 and first - 1 not in bearing and packets.keys[first - 1]:
        first -= 1
    return first


def _times(
    stamps: Sequence[int | None],
    in_file: Sequence[int | None],
    time_base: float,
    step: float,
) -> np.ndarray:
    """Seconds from the first picture to each, rising, of the time stamps that came with them.

    Where the container counts in the order of decoding, its times are given out in the order of
    showing. Where stamps jump back and stay there, as in joined recordings, time goes on by a
    usual step. Stamps that are missing, or repeated, or out of order alone, lie evenly between
    their neighbours.
    """
    count = len(stamps)
    given = np.array([np.nan if s is None else s * time_base for s in stamps])
    file_order = np.array([s for s in in_file if s is not None])
    if not np.isnan(given).any() and len(file_order) > 1 and (np.diff(file_order) > 0).all():
        given = np.sort(given)
    known = np.flatnonzero(~np.isnan(given))
    if len(known) < 2:
        return np.arange(count) * step
    usual = 1 / (frame_rate(np.sort(given[known])) or 1 / step)
    times = np.full(count, np.nan)
    shift = 0.0
    last: float | None = None
    for place, index in enumerate(known):
        value = given[index] + shift
        if last is not None and value <= last:
            following = given[known[place + 1]] + shift if place + 1 < len(known) else None
            if value == last or following is None or following > last:
                continue  # repeated, or out of order alone
            shift += last + usual * (index - known[place - 1]) - value
            value = given[index] + shift
        times[index] = last = value
    whole = np.flatnonzero(~np.isnan(times))
    times = np.interp(np.arange(count), whole, times[whole])
    after = np.arange(count) - whole[-1]
    before = whole[0] - np.arange(count)
    times = times + np.where(after > 0, after, 0) * usual - np.where(before > 0, before, 0) * usual
    return np.asarray(times - times[0])


def _cut_off(
    path: Path, kind: str, packets: Packets, promised: int, duration: float, step: float
) -> str:
    """What is there of a file that ends before its header says so; "" for a whole one."""
    there, names = len(packets.pts), kind.split(",")
    # Others count pictures that have no packet, or estimate.
    if "mov" in names and there < promised:
        return f"{there - packets.hidden} of {promised - packets.hidden} frames are there"
    if what := unfinished(path, kind):
        return what
    slack = max(_SLACK_STEPS * step, _SLACK * duration)
    if any(name in _WITH_DURATION for name in names) and packets.last_second < duration - slack:
        return f"{packets.last_second:.1f} of {duration:.1f} seconds are there"
    return ""


def _lost(index: PictureIndex) -> str:
    """Where the container lost data, and about how many pictures, by the usual step of time."""
    if not index.frames:
        return "data are lost, and no picture is left"
    parts = []
    for packet in index.lost_after:
        before = index.packets <= packet
        last = int(np.flatnonzero(before).max(initial=0))
        after = np.flatnonzero(~before)
        second = float(index.times[last])
        count = 0
        if len(after) and after[0] > last:
            count = round((float(index.times[after[0]]) - second) * index.fps) - 1
        if count > 0:
            parts.append(f"about {count} pictures are missing at {second:.1f} s")
        else:
            parts.append(f"data are missing at {second:.1f} s")
    return ", ".join(parts)


def _why_none(packets: Packets) -> str:
    count = sum(packets.usable)
    if not count:
        return ""
    if any(packets.keys):
        return f"none of its {count} packets can be decoded"
    return (
        f"its {count} packets need a key frame that came before the file's beginning, "
        "and none follows"
    )
