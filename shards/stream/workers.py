"""`WorkerPool`: processes that decode a stream's items, in turns, into memory that they share.

Worker w of W makes items w, w + W, w + 2 W, …; the trainer takes them in that order. Each worker
has a ring of blocks. The trainer gives it the numbers of free ones by a pipe, the worker decodes
into them and sends back, by another, what is small: key, frames, state. Pictures do not travel.

A block is free again when the trainer holds nothing of its batch any more. A trainer that keeps so
many batches that none is free gets copies, and never waits.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import cv2

from shards.errors import ShardsError, WorkerLost
from shards.stream.clipstream import ClipStream
from shards.stream.recycle import Arrays, Shapes
from shards.stream.ring import Block, block_size

__all__ = ["WorkerPool"]

# What a trainer holds while the workers are `prefetch` ahead: the batch in use, and the next.
_HELD = 2
_LOOK = 5.0  # seconds after which a silent worker is looked at
_PATIENCE = 1.0  # seconds that a worker may take to finish what it is at
_ENDING = 10.0  # seconds after the end of its pipe in which one that died is gone


@dataclass(frozen=True)
class _Worker:
    """As the trainer sees it. The keys of `idle` are its blocks that neither side uses."""

    process: BaseProcess
    blocks: list[Block]
    grants: Connection
    results: Connection
    idle: dict[int, object]


class WorkerPool:
    """Items of a stream from its state on, made by `workers` processes, `prefetch` ahead each.

    Iterate once; `close` ends the processes, and so does the end of this one, however it comes.
    Raises what the stream raises, and WorkerLost when a process dies.
    """

    def __init__(self, stream: ClipStream, workers: int, prefetch: int) -> None:
        self._pid = os.getpid()
        self._workers: list[_Worker] = []
        self._prefetch = prefetch
        size = block_size(stream.shapes)
        atexit.register(self.close)
        try:
            with _one_thread():
                for number in range(workers):
                    blocks = [Block(size) for _ in range(prefetch + _HELD)]
                    self._start(stream, (number, workers), blocks)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Any]:
        """Batches or samples; nobody else writes to their arrays while they are held."""
        for worker in self._workers:
            for _ in range(self._prefetch):
                _grant(worker, worker.idle.popitem()[0])
        while True:
            for worker in self._workers:
                message = _receive(worker)
                if message is None:
                    return
                if isinstance(message, BaseException):
                    raise message
                block, shapes, item = message
                yield _delivered(worker, block, shapes, item)

    def close(self) -> None:
        """End the processes. Batches that were taken stay as they are."""
        atexit.unregister(self.close)
        if os.getpid() != self._pid:  # a fork of the trainer, at its end
            return
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.grants.close()
            worker.results.close()
        for worker in workers:
            worker.process.join(_PATIENCE)
        for worker in workers:
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()

    def _start(self, stream: ClipStream, turn: tuple[int, int], blocks: list[Block]) -> None:
        # Forked, for only so are blocks shared, and a catalogue of millions of clips not copied.
        context = get_context("fork")
        (taken, grants), (results, made) = context.Pipe(False), context.Pipe(False)
        ours = [end for w in self._workers for end in (w.grants, w.results)] + [grants, results]
        process = context.Process(
            target=_work,
            args=(stream, turn, blocks, taken, made, ours),
            name=f"clips-{turn[0]}",
            daemon=True,
        )
        process.start()
        # With them closed here, a worker's death ends its pipes.
        taken.close()
        made.close()
        idle: dict[int, object] = dict.fromkeys(range(len(blocks)))
        self._workers.append(_Worker(process, blocks, grants, results, idle))


def _delivered(worker: _Worker, block: int, shapes: Shapes, item: Any) -> Any:
    """An item with its arrays, and one more block for its worker."""
    try:
        # The block that was freed last: the fewer go round, the more of them stay in caches.
        free, _ = worker.idle.popitem()
    except KeyError:
        arrays = worker.blocks[block].arrays(shapes)
        item = item.with_arrays({name: array.copy() for name, array in arrays.items()})
        _grant(worker, block)
        return item
    _grant(worker, free)
    released = partial(worker.idle.__setitem__, block)  # to anything: `idle` is a set, in order
    return item.with_arrays(worker.blocks[block].lend(shapes, released))


def _grant(worker: _Worker, block: int) -> None:
    # A worker that has ended takes no more; what it sent last says how it ended.
    with suppress(BrokenPipeError):
        worker.grants.send(block)


def _receive(worker: _Worker) -> Any:
    try:
        # Others forked meanwhile may hold the pipe's end open: then it is silent, and no end.
        while not worker.results.poll(_LOOK):
            if not worker.process.is_alive() and not worker.results.poll():
                raise EOFError
        return worker.results.recv()
    except (EOFError, OSError):  # OSError: within a message
        worker.process.join(_ENDING)
        code = worker.process.exitcode or 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise WorkerLost(
            f"a process that decodes clips ended {how}; SIGKILL mostly means that memory "
            "ran out: use fewer workers, smaller batches or less prefetching"
        ) from None


class _TrainerLeft(Exception):
    """Its end of a pipe is closed."""


class _Ring:
    """The worker's `Memory`: blocks as the trainer gives them. Raises _TrainerLeft."""

    def __init__(self, blocks: list[Block], grants: Connection) -> None:
        self._blocks, self._grants = blocks, grants
        self.block = 0
        self.shapes: Shapes = {}

    def take(self, shapes: Shapes) -> Arrays:
        try:
            self.block, self.shapes = self._grants.recv(), shapes
        except EOFError:
            raise _TrainerLeft from None
        return self._blocks[self.block].arrays(shapes)


def _work(
    stream: ClipStream,
    turn: tuple[int, int],
    blocks: list[Block],
    grants: Connection,
    results: Connection,
    theirs: list[Connection],
) -> None:
    # Ctrl-C and a cluster's notice go to all processes; workers end when the trainer's pipes do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for end in theirs:
        end.close()
    ring = _Ring(blocks, grants)
    stream.use_memory(ring)
    with suppress(_TrainerLeft, BrokenPipeError):
        try:
            for item in stream.share(*turn):
                results.send((ring.block, ring.shapes, item.with_arrays({})))
            results.send(None)
        except (_TrainerLeft, BrokenPipeError):
            raise
        except Exception as error:
            results.send(_portable(error))


def _portable(error: Exception) -> Exception:
    """The error as it can travel, with the worker's traceback unless it speaks for itself."""
    if not isinstance(error, ShardsError):
        error.add_note(f"in a process that decodes clips:\n{traceback.format_exc()}")
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(traceback.format_exc())


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is forked here finds OpenCV without threads, and makes none.

    The workers are the parallelism: threads below them would only compete. And the threads of a
    pool do not come along in a fork, which would then wait for them for ever.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
