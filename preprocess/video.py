"""Reading a video file's pictures exactly, and no damaged ones.

A picture is what the file's index (`preprocess.picture_index`) says it is: one packet's, by number.
Decoding starts at a key frame at or before it.

Damage spreads: what was predicted from a damaged picture is damaged too, whether the decoder marks
it or not. So a picture is given out only when all before it in the order of decoding have come
whole. At the first sign of damage the group of pictures is decoded once more, packet by packet, to
find the packet with which it begins; everything from there to the next key frame is lost, and
decoding starts again behind it. Where each picture is a key frame, one alone is lost.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import av
import av.logging
import numpy as np

from preprocess.containers import (
    calm,
    decoder,
    mark,
    number_of,
    numbered,
    open_stream,
    open_video,
)
from preprocess.errors import ClipError, FramesLost, InputError
from preprocess.frames import Frame
from preprocess.glance import Glance, glance_of_picture
from preprocess.picture import show
from preprocess.picture_index import PictureIndex, fingerprint, picture_index
from preprocess.pixels import Pixels
from preprocess.stills import jpeg_damage

__all__ = ["VideoFile"]

_Said = tuple[int, str, str]  # level, who, what

# A key frame that lies further ahead than this many packets is sought, not decoded up to.
_FAR = 48
_BEFORE_JOIN = 2
# Decoders that find damage by checksums, and neither mark the picture nor fail.
_SPEAKS_ONLY = ("ffv1",)
# What decoders say, and do not mark, when a picture lacks those that it was predicted from.
_SAYS_DAMAGED = (
    *("reference picture missing", "Missing reference picture", "Could not find ref"),
    *("Frame num gap", "error while decoding", "concealing", "CRC mismatch", "corrupt"),
)


@dataclass(frozen=True)
class VideoFile:
    """A video file, read with PyAV: no system ffmpeg is needed."""

    path: Path

    def index(self) -> PictureIndex:
        """Raises InputError when the file cannot be opened or has no video; StorageError when one
        at a URL cannot be copied to this machine."""
        try:
            return picture_index(self.path)
        except (av.FFmpegError, OSError) as error:
            reason = error.strerror or error
            raise InputError(f"{self.path} cannot be read as a video: {reason}") from error

    def times(self) -> Sequence[float]:
        """Raises InputError as `index`."""
        times: list[float] = self.index().times.tolist()
        return times

    def fingerprint(self) -> str:
        """Of the file's size and its first and last 64 kB."""
        return fingerprint(self.path)

    def read(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yield the frames at strictly increasing indices; raises ClipError as `FrameReader`."""
        for wanted, picture, index in self._pictures(indices):
            shown, notes = self._shown(picture, index.aspect)
            yield Frame(wanted, shown, float(index.times[wanted]), notes)

    def glances(self, indices: Sequence[int]) -> Iterator[Glance]:
        """The same frames as they are looked at to find cuts, in a fraction of the time."""
        for wanted, picture, _ in self._pictures(indices):
            yield glance_of_picture(wanted, picture)

    def _pictures(self, indices: Sequence[int]) -> Iterator[tuple[int, Any, PictureIndex]]:
        try:
            index = self.index()
            with _Reading(self.path, index, _damage_of(index)) as reading:
                for wanted in indices:
                    if wanted >= index.frames:
                        raise ClipError(
                            f"{self.path}: has {index.frames} frames, no frame {wanted}"
                        )
                    yield wanted, reading.picture(wanted), index
        except (av.FFmpegError, OSError) as error:
            raise ClipError(f"{self.path}: {error.strerror or error}") from error
        except InputError as error:
            raise ClipError(str(error)) from error

    def _shown(self, frame: Any, aspect: float) -> tuple[Pixels, tuple[str, ...]]:
        try:
            return show(frame, aspect)
        except ClipError as error:
            raise ClipError(f"{self.path}: {error}") from error
        except av.FFmpegError as error:
            raise ClipError(f"{self.path}: {error.strerror or error}") from error


@dataclass
class _Damage:
    """What is known of a file's damage; found where somebody wants to read.

    `packets` are those with which it begins, by the start of their group; -1 for a group that was
    examined and is whole. `false_starts` cannot be decoded from, though the file says so.
    """

    packets: dict[int, int] = field(default_factory=dict)
    false_starts: set[int] = field(default_factory=set)


# Known as long as the index is held.
_DAMAGE: WeakKeyDictionary[PictureIndex, _Damage] = WeakKeyDictionary()
_DAMAGE_LOCK = Lock()
_LISTENING = Lock()
# What other threads' codecs say while one listens is nobody's business.
logging.getLogger("libav").addHandler(logging.NullHandler())


def _damage_of(index: PictureIndex) -> _Damage:
    with _DAMAGE_LOCK:
        if index not in _DAMAGE:
            _DAMAGE[index] = _Damage(_beside_losses(index))
        return _DAMAGE[index]


def _beside_losses(index: PictureIndex) -> dict[int, int]:
    """Where the container lost data, the picture before may have lost its end.

    What follows up to the next key frame was predicted from what is gone.
    """
    found: dict[int, int] = {}
    for packet in index.lost_after.tolist():
        before = index.packets[index.packets <= packet]
        if len(before):
            number = int(before.max())
            found.setdefault(_group_of(index, number), number)
    return found


def _group_of(index: PictureIndex, packet: int) -> int:
    """The last start that is not behind the packet."""
    return max(int(np.searchsorted(index.start_packets, packet, side="right")) - 1, 0)


class _Sign(Exception):
    """Something is damaged, at this packet or behind it."""

    def __init__(self, packet: int) -> None:
        super().__init__(packet)
        self.packet = packet


class _FalseStart(Exception):
    """The picture with which decoding should begin did not come."""


class _Reading:
    """A file being decoded, forward, from one start after another."""

    def __init__(self, path: Path, index: PictureIndex, damage: _Damage) -> None:
        self._path = path
        self._index = index
        self._damage = damage
        self._run: _Run | None = None

    def __enter__(self) -> "_Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def picture(self, wanted: int) -> Any:
        """The decoded frame. Raises FramesLost where it is damaged."""
        packet = int(self._index.packets[wanted])
        while True:
            self._raise_if_lost(wanted)
            start = self._start_of(wanted)
            first = int(self._index.start_packets[start])
            limit = min((p for p in self._damage.packets.values() if p >= first), default=None)
            if limit is not None and packet >= limit and not self._index.counted:
                self._lose(wanted, wanted)  # behind damage, and decoding cannot begin there
            run = self._run
            if run is None or run.limit != limit or not run.goes_on_to(wanted, first):
                run = self._begin(start, limit)
            try:
                return run.picture(wanted)
            except _FalseStart:
                self._damage.false_starts.add(run.start)
            except _Sign as sign:
                self._examine(sign.packet)
            self._stop()

    def _start_of(self, wanted: int) -> int:
        """The last start from which the picture can be had."""
        index = self._index
        if index.counted:
            return 0
        behind = np.searchsorted(index.start_packets, index.packets[wanted], side="right")
        for start in range(int(behind) - 1, 0, -1):
            if index.start_pictures[start] <= wanted and start not in self._damage.false_starts:
                return start
        return 0

    def _raise_if_lost(self, wanted: int) -> None:
        index = self._index
        for group, packet in self._damage.packets.items():
            if packet < 0:
                continue
            lost = index.packets >= packet
            last = index.frames - 1
            if group + 1 < len(index.start_packets):
                lost &= index.packets < index.start_packets[group + 1]
                last = int(index.start_pictures[group + 1]) - 1
            first = int(np.argmax(lost))
            if first <= wanted <= last:
                self._lose(first, last)

    def _lose(self, first: int, last: int) -> None:
        which = f"frame {first} is" if first == last else f"frames {first} to {last} are"
        raise FramesLost(f"{self._path}: {which} damaged", last)

    def _begin(self, start: int, limit: int | None) -> "_Run":
        lenient = self._index.counted or -1 in self._damage.packets.values()
        if self._run is None or self._run.lenient != lenient:
            self._stop()
            self._run = _Run(self._path, self._index, self._damage, lenient=lenient)
        self._run.begin(start, limit)
        return self._run

    def _stop(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None

    def _examine(self, packet: int) -> None:
        """Find the packet, from this one on, with which the damage of its group begins."""
        group = _group_of(self._index, packet)
        known = self._damage.packets.get(group)
        if self._index.counted or known == -1:
            # It was examined, and yet a picture of it does not come.
            self._damage.packets[group] = packet
        elif known is not None:
            self._damage.packets[group] = min(packet, known)
        else:
            start = next(s for s in range(group, -1, -1) if s not in self._damage.false_starts)
            starts = self._index.start_packets
            limit = int(starts[group + 1]) if group + 1 < len(starts) else None
            run = _Run(self._path, self._index, self._damage, lenient=True, careful=True)
            try:
                run.begin(start, limit)
                self._damage.packets[group] = run.first_damaged(packet)
            finally:
                run.close()


class _Run:
    """One decoder, fed from a start up to a limit.

    Careful ones have one thread and listen to what the decoder says; lenient ones do not stop at
    what it would call an error and can live with.
    """

    def __init__(
        self,
        path: Path,
        index: PictureIndex,
        damage: _Damage,
        *,
        lenient: bool,
        careful: bool = False,
    ) -> None:
        self.lenient = lenient
        self.start = 0
        self.limit: int | None = None
        self._path = path
        self._index = index
        self._damage = damage
        self._one_thread = careful or index.counted
        self._in_order = np.sort(index.packets)
        self._picture_of = dict(zip(index.packets.tolist(), range(index.frames), strict=True))
        self._start_at = {
            place: number
            for place, number in zip(
                index.start_bytes.tolist(), index.start_packets.tolist(), strict=True
            )
            if place >= 0
        }
        self._container: Any = None

    def close(self) -> None:
        if self._container is not None:
            calm(self._context)
            self._container.close()
            self._container = None

    def begin(self, start: int, limit: int | None) -> None:
        """Go to a start; pictures whose packets are not before `limit` will not be decoded."""
        self.start, self.limit = start, limit
        first = int(self._index.start_packets[start]) if not self._index.counted else 0
        near = self._container is not None and self._at <= first <= self._at + _FAR
        if not near and not self._seek(start, first):
            self._open()
        self._context.flush_buffers()
        while self._at < first:
            self._next_packet()
        self._pending: deque[tuple[int, Any]] = deque()
        self._came: set[int] = set()
        self._front = int(np.searchsorted(self._in_order, first))
        self._last = int(self._index.start_pictures[start]) - 1 if start else -1
        self._count = 0
        self._begun = not start
        self._ended = False

    def _open(self) -> None:
        self.close()
        container = open_video(self._path)
        stream = open_stream(container, self._path)
        self._context, self._container = decoder(stream), container
        # What other threads say is not heard.
        if self._one_thread or self._context.name in _SPEAKS_ONLY:
            self._context.thread_count = 1
        if not self.lenient:
            self._context.options = {"err_detect": "explode"}
        self._packets = numbered(self._container, stream)
        self._stream = stream
        self._at = 0

    def _seek(self, start: int, first: int) -> bool:
        """Whether a seek has come out at or before the start; its packets' places tell."""
        if self._index.start_bytes[start] < 0 or not first:
            return False
        if self._container is None:
            self._open()
        try:
            self._container.seek(int(self._index.start_stamps[start]), stream=self._stream)
            for packet in islice(self._container.demux(self._stream), _FAR):
                number = self._start_at.get(packet.pos, first + 1)
                if number <= first:
                    break
            else:
                return False
        except av.FFmpegError:
            return False
        mark(packet, number)
        self._packets = chain(
            [(number, packet)], numbered(self._container, self._stream, number + 1)
        )
        self._at = number
        return True

    def _next_packet(self) -> Any:
        """None at the end, of the file or of what can be read of it."""
        try:
            number, packet = next(self._packets)
        except (StopIteration, av.FFmpegError):
            self._at += 1
            return None
        self._at = number + 1
        return packet

    def goes_on_to(self, wanted: int, first: int) -> bool:
        """Whether the picture, whose start is at packet `first`, is not far ahead."""
        return self._last < wanted and first <= self._at + _FAR

    def picture(self, wanted: int) -> Any:
        """The decoded frame. Raises _Sign or _FalseStart where it does not come whole."""
        while True:
            while self._pending and self._is_safe(self._pending[0][0]):
                self._last, frame = self._pending.popleft()
                if self._last == wanted:
                    return frame
                if self._last > wanted:
                    raise _Sign(int(self._index.packets[wanted]))
            if self._ended or len(self._pending) > _FAR:
                raise _Sign(self._waiting_for(wanted))
            self._feed()

    def _is_safe(self, picture: int) -> bool:
        """Whether all that the picture may have been predicted from has come whole."""
        if self._index.counted:
            return True
        packet = self._index.packets[picture]
        order = self._in_order
        first_picture = self._index.start_pictures[self.start] if self.start else 0
        while self._front < len(order) and order[self._front] <= packet:
            number = int(order[self._front])
            if number not in self._came and self._picture_of[number] >= first_picture:
                return False
            self._came.discard(number)
            self._front += 1
        return True

    def _waiting_for(self, wanted: int) -> int:
        if self._index.counted or self._front >= len(self._in_order):
            return int(self._index.packets[wanted])
        return int(self._in_order[self._front])

    def _feed(self) -> None:
        waiting = self._waiting_for(min(self._last + 1, self._index.frames - 1))
        try:
            at = self._at
            packet = self._next_wanted()
            marked = self._is_damaged_jpeg(packet) or (_is_marked(packet) and not self.lenient)
            if marked and not self._index.counted:
                raise _Sign(at)
            with self._maybe_listening() as said:
                pictures = list(self._decode(packet))
            if _tells_damage(said) and not self._index.counted:
                raise _Sign(at)
            for number, frame in pictures:
                if frame.is_corrupt and not self._is_known(number):
                    raise _Sign(min(waiting, number))
        except av.FFmpegError as error:
            if not self.lenient:
                raise _Sign(waiting) from error

    def _is_known(self, number: int) -> bool:
        """Counting goes on through what is known to be damaged."""
        group = _group_of(self._index, number)
        return self._index.counted and number >= self._damage.packets.get(group, number + 1)

    def _next_wanted(self) -> Any:
        limited = self.limit is not None and self._at >= self.limit and not self._index.counted
        packet = None if limited else self._next_packet()
        self._ended = packet is None
        return packet

    def _decode(self, packet: Any) -> Iterator[tuple[int, Any]]:
        """Pictures with their packets' numbers; what is left in the decoder for None."""
        if packet is not None and not packet.size:
            return  # the decoder would take it for the end
        try:
            frames = self._context.decode(packet)
        except av.EOFError:
            return
        for frame in frames:
            number = self._count if self._index.counted else number_of(frame)
            self._count += 1
            picture = self._picture_of.get(number) if number is not None else None
            if number is None or picture is None or picture <= self._last:
                continue  # it leads a start, and is shown before it
            if not self._begun and picture != self._index.start_pictures[self.start]:
                raise _FalseStart
            self._begun = True
            self._came.add(number)
            self._pending.append((picture, frame))
            yield number, frame

    def first_damaged(self, front: int) -> int:
        """The first packet, from `front` to the limit, whose picture is damaged; -1 for none."""
        damaged: set[int] = set()
        came: set[int] = set()
        first_picture = int(self._index.start_pictures[self.start]) if self.start else 0
        while not self._ended:
            at = self._at
            packet = self._next_wanted()
            # Where transport streams are joined, the last packets before are marked, and whole.
            joined = self.limit is not None and self.limit - at <= _BEFORE_JOIN
            if (_is_marked(packet) and not joined) or self._is_damaged_jpeg(packet):
                damaged.add(at)
            with _listening() as said:
                try:
                    for frame in self._context.decode(packet) if not self._empty(packet) else ():
                        number = number_of(frame)
                        if number is not None:
                            came.add(number)
                            if frame.is_corrupt:
                                damaged.add(number)
                except av.EOFError:
                    pass
                except av.FFmpegError:
                    damaged.add(at)
            if _tells_damage(said):
                damaged.add(at)
        end = self.limit if self.limit is not None else self._at
        bearing = {
            packet
            for packet, picture in self._picture_of.items()
            if front <= packet < end and picture >= first_picture
        }
        return min((damaged | (bearing - came)) & bearing, default=-1)

    def _is_damaged_jpeg(self, packet: Any) -> bool:
        """FFmpeg's decoder fills what it cannot read, and marks nothing; libjpeg tells."""
        if self._context.name != "mjpeg" or packet is None or not packet.size:
            return False
        return bool(jpeg_damage(bytes(packet)))

    def _maybe_listening(self) -> AbstractContextManager[list[_Said]]:
        return _listening() if self._context.name in _SPEAKS_ONLY else nullcontext([])

    @staticmethod
    def _empty(packet: Any) -> bool:
        return packet is not None and not packet.size


def _is_marked(packet: Any) -> bool:
    return packet is not None and bool(packet.is_corrupt)


def _tells_damage(said: list[_Said]) -> bool:
    return any(words in message for _, _, message in said for words in _SAYS_DAMAGED)


@contextmanager
def _listening() -> Iterator[list[_Said]]:
    """What the codecs of this thread say of errors meanwhile."""
    with _LISTENING:
        before = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture(local=True) as said:
                yield said
        finally:
            av.logging.set_level(before)
