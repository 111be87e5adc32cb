"""Threads that Ctrl-C leaves whole, whenever it comes.

`concurrent.futures` would do, but for one thing: its locks are taken by functions of Python, and a
KeyboardInterrupt can come in between a lock's being taken and the `with` that would free it. A
worker then waits for that lock, and the program for the worker, for ever. The queues here are
written in C and are whole after every interrupt.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

__all__ = ["Answer", "Threads", "map_ahead"]

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class Answer(Generic[_Made]):
    """What a thread makes of what it was asked, once it is there."""

    def __init__(self) -> None:
        self._made: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def make(self, work: Callable[..., _Made], given: tuple[Any, ...]) -> None:
        """For the thread."""
        try:
            self._made.put((work(*given), None))
        except BaseException as error:
            self._made.put((None, error))

    def ready(self) -> bool:
        """Whether `take` would not wait."""
        return not self._made.empty()

    def wait(self) -> None:
        """Return once it is there."""
        self._made.put(self._made.get())

    def take(self) -> _Made:
        """Give it, once. Raises what the thread raised."""
        made, error = self._made.get()
        if error is not None:
            try:
                raise error
            finally:
                del error  # whose traceback holds this frame
        result: _Made = made
        return result


class Threads:
    """So many threads, started by what is asked first; their names begin with `name`.

    They end by `end`, when nobody holds this any more, and with the program.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._threads: list[threading.Thread] = []
        self._tasks: SimpleQueue[tuple[Callable[..., Any], Any, Answer[Any]] | None] = SimpleQueue()
        _all.add(self)

    def ask(self, work: Callable[..., _Made], *given: Any) -> Answer[_Made]:
        """Have `work(*given)` done by the first thread that is free, in the order of asking."""
        while len(self._threads) < self._count:
            # Daemons: Python would wait for others before it tells anyone that the program ends.
            thread = threading.Thread(
                target=_serve,
                args=(self._tasks,),
                name=f"{self._name}_{len(self._threads)}",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)
        answer: Answer[_Made] = Answer()
        self._tasks.put((work, given, answer))
        return answer

    def end(self) -> None:
        """Drop what has not begun, and wait for what is at work."""
        with suppress(Empty):
            while True:
                self._tasks.get_nowait()
        self._tasks.put(None)
        # Python may clear a loop that was left away in any thread, one of these too, which cannot
        # wait for itself.
        if threading.current_thread() not in self._threads:
            for thread in self._threads:
                thread.join()

    def __del__(self) -> None:
        self._tasks.put(None)


_all: weakref.WeakSet[Threads] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for threads in list(_all):
        threads.end()


def _serve(tasks: SimpleQueue[tuple[Callable[..., Any], Any, Answer[Any]] | None]) -> None:
    while (task := tasks.get()) is not None:
        work, given, answer = task
        answer.make(work, given)
        del task, work, given, answer  # nothing is held while this thread waits
    # One tells the next: Ctrl-C may have come before a thread that was started was noted.
    tasks.put(None)


def map_ahead(
    make: Callable[[_Item], _Made], items: Iterable[_Item], workers: int, ahead: int, name: str
) -> Iterator[_Made]:
    """`map(make, items)` by threads, `ahead` of them made or at work while one is used.

    What `make` raises is raised at its turn. Leaving the loop, by its end, a break or Ctrl-C, ends
    the `workers`, whose names begin with `name`; so does the end of the program.
    """
    threads = Threads(workers, name)
    waiting: deque[Answer[_Made]] = deque()
    try:
        for item in items:
            waiting.append(threads.ask(make, item))
            if len(waiting) > ahead:
                yield waiting.popleft().take()
        while waiting:
            yield waiting.popleft().take()
    finally:
        threads.end()
