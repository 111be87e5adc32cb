"""A shot's frames as its clips want them: each read once, by a thread that reads ahead."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import TypeVar

from preprocess.errors import ClipError
from preprocess.frames import Frame, FrameReader, read_each

__all__ = ["AHEAD", "Reader", "Window"]

AHEAD = 16  # frames that may wait to be taken

_Result = TypeVar("_Result")
_Read = tuple[int, Frame | ClipError]
# What reading has come to: one of the two, once it is there.
_Made = SimpleQueue[tuple[_Read | None, BaseException | None]]


class Reader:
    """A thread that reads frames, for any number of windows one after the other.

    It waits on queues written in C, which Ctrl-C leaves whole whenever it comes; the locks of
    `concurrent.futures` it may leave taken, for ever.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Iterator[_Read], _Made] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        _readers.add(self)

    def ask(self, read: Iterator[_Read]) -> _Made:
        """Have the next frame read."""
        if self._thread is None:
            # A daemon: Python would wait for others before it tells anyone that the program ends.
            self._thread = threading.Thread(target=_serve, args=(self._asked,), daemon=True)
            self._thread.start()
        made: _Made = SimpleQueue()
        self._asked.put((read, made))
        return made

    def end(self) -> None:
        """End the thread, after what it was asked for."""
        self._asked.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def __del__(self) -> None:
        self._asked.put(None)


_readers: weakref.WeakSet[Reader] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for reader in list(_readers):
        reader.end()


def _serve(asked: SimpleQueue[tuple[Iterator[_Read], _Made] | None]) -> None:
    while (task := asked.get()) is not None:
        read, made = task
        try:
            made.put((next(read), None))
        except BaseException as error:
            made.put((None, error))
        del task, read, made  # nothing is held while this thread waits


class Window:
    """Frames at rising indices, read from front to back, kept as long as a clip may want them.

    With a `thread` of their own the frames to come are read while those before are in use: up to
    16, as many as a clip may want anew, and never beyond `reach`. Without one each is read when it
    is taken.
    """

    def __init__(self, reader: FrameReader, indices: Sequence[int], thread: Reader | None) -> None:
        """`indices` may go on beyond what is wanted for now: nothing is read that is not asked
        for by `take` or `reach`."""
        self._reader, self._indices, self._thread = reader, indices, thread
        self._read: Iterator[_Read] | None = None
        self._coming: deque[int] = deque()  # what `_read` has not been asked for
        self._reading: deque[_Made] = deque()
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
        for made in self._reading:
            made.put(made.get())
        return work()

    def _next(self) -> _Read:
        assert self._read is not None
        if self._thread is None:
            self._coming.popleft()
            return next(self._read)
        if not self._reading:
            self._submit()
        read, error = self._reading.popleft().get()
        if error is not None:
            try:
                raise error
            finally:
                del error  # whose traceback holds this frame
        assert read is not None
        return read

    def _read_ahead(self) -> None:
        if self._thread is None or self._read is None:
            return
        while self._coming and self._coming[0] <= self._reach and len(self._reading) < AHEAD:
            self._submit()

    def _submit(self) -> None:
        assert self._thread is not None
        assert self._read is not None
        self._coming.popleft()
        self._reading.append(self._thread.ask(self._read))
