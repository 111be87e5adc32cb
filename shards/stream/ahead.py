"""Work done ahead by threads that Ctrl-C ends, whenever it comes.

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
from typing import Any, TypeVar

__all__ = ["map_ahead"]

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def map_ahead(
    make: Callable[[_Item], _Made], items: Iterable[_Item], workers: int, ahead: int, name: str
) -> Iterator[_Made]:
    """`map(make, items)` by threads, `ahead` of them made or at work while one is used.

    What `make` raises is raised at its turn. Leaving the loop, by its end, a break or Ctrl-C, ends
    the `workers`, whose names begin with `name`; so does the end of the program.
    """
    crew = _Crew()
    waiting: deque[SimpleQueue[tuple[Any, BaseException | None]]] = deque()
    try:
        crew.start(make, workers, name)
        for item in items:
            made: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
            crew.tasks.put((item, made))
            waiting.append(made)
            if len(waiting) > ahead:
                yield _taken(waiting.popleft())
        while waiting:
            yield _taken(waiting.popleft())
    finally:
        crew.end()


class _Crew:
    """Threads and what they have to do: pairs of an item and where to put what is made of it."""

    def __init__(self) -> None:
        self.tasks: SimpleQueue[tuple[Any, SimpleQueue[Any]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        _crews.add(self)

    def start(self, make: Callable[[Any], Any], workers: int, name: str) -> None:
        for number in range(workers):
            # Daemons: Python would wait for others before it tells anyone that the program ends.
            thread = threading.Thread(
                target=_work, args=(make, self.tasks), name=f"{name}_{number}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def end(self) -> None:
        """Drop what nobody has begun, and wait for what is at work."""
        with suppress(Empty):
            while True:
                self.tasks.get_nowait()
        for _ in self._threads:
            self.tasks.put(None)
        # Python may clear a loop that was left away in any thread, one of these too, which cannot
        # wait for itself.
        if threading.current_thread() not in self._threads:
            for thread in self._threads:
                thread.join()


_crews: weakref.WeakSet[_Crew] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for crew in list(_crews):
        crew.end()


def _work(
    make: Callable[[Any], Any], tasks: SimpleQueue[tuple[Any, SimpleQueue[Any]] | None]
) -> None:
    while (task := tasks.get()) is not None:
        item, made = task
        made.put(_made(make, item))
        del task, item, made  # nothing is held while this thread waits


def _made(make: Callable[[Any], Any], item: Any) -> tuple[Any, BaseException | None]:
    try:
        return make(item), None
    except BaseException as error:
        return None, error


def _taken(made: SimpleQueue[tuple[Any, BaseException | None]]) -> Any:
    value, error = made.get()
    if error is not None:
        try:
            raise error
        finally:
            del error  # whose traceback holds this frame
    return value
