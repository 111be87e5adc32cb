"""A shot's frames as its clips want them: each read once, by a thread that reads ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from preprocess.errors import ClipError
from preprocess.frames import Frame, FrameReader, read_each
from shards.threads import Answer, Threads

__all__ = ["AHEAD", "Window"]

AHEAD = 16  # frames that may wait to be taken

_Result = TypeVar("_Result")
_Read = tuple[int, Frame | ClipError]


class Window:
    """Frames at rising indices, read from front to back, kept as long as a clip may want them.

    With a `thread` (`Threads` of one) the frames to come are read while those before are in use:
    up to 16, as many as a clip may want anew, and never beyond `reach`. Without one each is read
    when it is taken.
    """

    def __init__(self, reader: FrameReader, indices: Sequence[int], thread: Threads | None) -> None:
        """`indices` may go on beyond what is wanted for now: nothing is read that is not asked
        for by `take` or `reach`."""
        self._reader, self._indices, self._thread = reader, indices, thread
        self._read: Iterator[_Read] | None = None
        self._coming: deque[int] = deque()  # what `_read` has not been asked for
        self._reading: deque[Answer[_Read]] = deque()
        self._frames: dict[int, Frame | ClipError] = {}
        self._reach = -1

    def continues(self, indices: Sequence[int]) -> bool:
        """Whether these can be had by reading on, and nothing else has to be read for it."""
        if self._read is None or self._reading:
            return False
        wanted = [index for index in indices if index not in self._frames]
        coming = list(self._coming)[: len(wanted)]
        return bool(wanted) and coming == wanted

    def reach(self, last: int) -> None:
        """Read ahead up to this index, once `take` has begun or goes on."""
        self._reach = last
        self._read_ahead()

    def take(self, indices: Sequence[int]) -> list[Frame]:
        """Frames of one clip; clips must come in order. Raises ClipError for an unreadable one."""
        self._frames = {i: f for i, f in self._frames.items() if i >= indices[0]}
        if self._read is None:
            left = [i for i in self._indices if i >= indices[0] and i not in self._frames]
            self._read, self._coming = read_each(self._reader, left), deque(left)
        while indices[-1] not in self._frames:
            try:
                index, frame = self._next()
            except BaseException:
                # A reader that has raised reads no more: the next clip's begins.
                self._read = None
                self._reading.clear()
                raise
            self._frames[index] = frame
            self._read_ahead()
        taken = []
        for index in indices:
            frame = self._frames[index]
            if isinstance(frame, ClipError):
                raise frame
            taken.append(frame)
        return taken

    def in_calm(self, work: Callable[[], _Result]) -> _Result:
        """What `work` gives. Where memory is not enough it is tried again once nothing is read
        beside it: what takes all memory may be a frame of a clip to come, whose error it is."""
        try:
            return work()
        except MemoryError:
            if self._thread is None:
                raise
        for coming in self._reading:
            coming.wait()
        return work()

    def _next(self) -> _Read:
        assert self._read is not None
        if self._thread is None:
            self._coming.popleft()
            return next(self._read)
        if not self._reading:
            self._submit()
        return self._reading.popleft().take()

    def _read_ahead(self) -> None:
        if self._thread is None or self._read is None:
            return
        while self._coming and self._coming[0] <= self._reach and len(self._reading) < AHEAD:
            self._submit()

    def _submit(self) -> None:
        assert self._thread is not None
        assert self._read is not None
        self._coming.popleft()
        self._reading.append(self._thread.ask(next, self._read))
