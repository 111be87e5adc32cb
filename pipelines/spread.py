"""Looking at a large source's files in processes, or on a cluster: the plan is the same."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from pipelines.cluster import on_ray
from preprocess.sources.values import Spread
from preprocess.sources.videos import in_threads

__all__ = ["OnCluster", "Processes", "spread_over"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Files for which starting processes would take longer than looking at them in threads.
_FEW = 2000
# Threads read files at 1.7 cores' worth, and remember each file's index for the passes that follow;
# processes read it anew, twice as much work for as many cores as there are.
_FEWEST_PROCESSES = 4
_CHUNK = 64  # files that one process is given at a time
_AHEAD = 4  # chunks for each process that are begun ahead of the results


def spread_over(processes: int, address: str | None) -> Spread:
    """On the cluster at `address` if there is one, else in so many processes of this machine, or
    in threads of this one where those are as quick."""
    if address is not None:
        return OnCluster(address)
    return Processes(processes if processes >= _FEWEST_PROCESSES else 1)


@dataclass(frozen=True)
class Processes:
    """Processes of this machine; threads of this one where there are few items, or one process."""

    count: int

    def __call__(
        self, work: Callable[[_Item], _Result], items: Sequence[_Item]
    ) -> Iterator[_Result]:
        if self.count < 2 or len(items) < _FEW:
            yield from in_threads(work, items)
            return
        done = 0
        try:
            # Forked processes would inherit locks of threads that they do not have.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(self.count, context, initializer=_begin) as pool:
                try:

                    def start(chunk: Sequence[_Item]) -> "Future[list[_Result]]":
                        return pool.submit(_each, work, chunk)

                    for results in _in_order(start, _result, items, self.count * _AHEAD):
                        yield from results
                        done += len(results)
                finally:
                    pool.shutdown(cancel_futures=True)
        except BrokenProcessPool:  # memory ran out, or a library crashed
            yield from in_threads(work, items[done:])


@dataclass(frozen=True)
class OnCluster:
    """Ray tasks on all machines of the cluster at `address`, which see the same files."""

    address: str

    def __call__(
        self, work: Callable[[_Item], _Result], items: Sequence[_Item]
    ) -> Iterator[_Result]:
        if len(items) < _CHUNK:
            yield from in_threads(work, items)
            return
        with on_ray(0, self.address) as ray:
            task = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(_each)
            cores = max(1, int(ray.cluster_resources().get("CPU", 1)))

            def start(chunk: Sequence[_Item]) -> Any:
                return task.remote(work, chunk)

            for results in _in_order(start, ray.get, items, cores * _AHEAD):
                yield from results


def _in_order(
    start: Callable[[Sequence[_Item]], Any],
    result: Callable[[Any], list[_Result]],
    items: Sequence[_Item],
    ahead: int,
) -> Iterator[list[_Result]]:
    """Results of chunks of the items, of which no more than `ahead` are begun and not given."""
    begun: deque[Any] = deque()
    for first in range(0, len(items), _CHUNK):
        begun.append(start(items[first : first + _CHUNK]))
        if len(begun) >= ahead:
            yield result(begun.popleft())
    while begun:
        yield result(begun.popleft())


def _result(future: "Future[list[_Result]]") -> list[_Result]:
    return future.result()


def _begin() -> None:
    """In each of the processes."""
    import signal

    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command is interrupted, and ends them
    cv2.setNumThreads(1)


def _each(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    return [work(item) for item in items]
