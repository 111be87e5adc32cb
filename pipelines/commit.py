"""Committing shards where their clips are: bytes go from workers to the output, never elsewhere.

A worker keeps each clip aside, beside the output (`shards.waiting`), and says so in an `Outcome`.
Once all clips of a shard are kept or quarantined a committer, which may run on any machine, reads
them from there and writes tar and manifest; whoever runs the build sees the manifest alone. What
is kept is there whatever dies next: worker, committer, machine, or the build itself.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pipelines.plan import Task
from pipelines.worker import Made, Outcome, Setup, Worker
from preprocess.errors import InputError
from preprocess.sources.values import Split
from shards.dataset import read_info
from shards.manifest import Manifest, Quarantined
from shards.sample.codec import Members
from shards.waiting import ClipsLost, WaitingClips
from shards.writer import commit_shard

__all__ = ["Attempt", "Hands", "RealHands", "TaskWorker", "WholeShard"]

# Clips that are kept aside together in an object store, which has its price for each request.
_GROUP = 8


@dataclass(frozen=True)
class WholeShard:
    """A shard of which all clips are kept aside, at the places in `made`, or quarantined.

    `keys` are those of all its clips in the plan's order.
    """

    split: Split
    index: int
    keys: tuple[str, ...]
    made: frozenset[int]
    quarantined: Mapping[int, Quarantined] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """How a task is tried: for the first time, or knowing what came of it before.

    `again`: an earlier run of the task may have kept some of its clips, which are not made again.
    `given_up` and `starting` are as in `pipelines.worker.Worker.run`. `made` is told each clip's
    end: None but for one that is quarantined.
    """

    again: bool = False
    given_up: Mapping[str, str] = field(default_factory=dict)
    starting: Callable[[str], None] = lambda key: None
    made: Callable[[Quarantined | None], None] = lambda quarantined: None


class TaskWorker(Protocol):
    """Makes the clips of one task after the other."""

    def run(self, task: Task, attempt: Attempt) -> Outcome:
        """Make the task's clips, and keep them. A clip's own failure quarantines it alone."""
        ...

    def flush(self) -> None:
        """Once this returns no clip is lost of which an outcome has been given."""
        ...

    def cpu_seconds(self) -> float:
        """What processes of its own have used."""
        ...


class Hands(Protocol):
    """Those who do a build's work; may be pickled to any machine."""

    def worker(self) -> TaskWorker:
        """One that has loaded what it needs. Raises InputError where that is missing."""
        ...

    def commit(self, shard: WholeShard) -> Manifest | None:
        """Write tar and manifest; None when clips are lost, and have to be made again."""
        ...


@dataclass(frozen=True)
class RealHands:
    """Hands that annotate, and write to the dataset in whose folder clips wait.

    `older` are the fingerprints of generations before the last, and how many shards of each split
    there were then: shards of theirs that have to be made again bear theirs.
    """

    setup: Setup
    waiting: WaitingClips
    older: tuple[tuple[str, Mapping[str, int]], ...] = ()

    def worker(self) -> "KeepingWorker":
        """Raises InputError also where the output's folder is another one than the build's."""
        store = self.waiting.dataset
        info = read_info(store)
        if info is None or info.fingerprint != self.waiting.fingerprint:
            raise InputError(
                f"{socket.gethostname()} does not find in {store.url()} the dataset that is being "
                "built: was it deleted or unmounted? Workers write to --out themselves, so it must "
                "be a folder that all machines share, or a URL (s3://...)"
            )
        return KeepingWorker(Worker(self.setup), self.waiting)

    def commit(self, shard: WholeShard) -> Manifest | None:
        place = (shard.split, shard.index)
        try:
            manifest = commit_shard(
                self.waiting.dataset,
                *place,
                self.waiting.read(*place, shard.keys, shard.made),
                [shard.quarantined[place] for place in sorted(shard.quarantined)],
                fingerprint=self._fingerprint_of(*place),
            )
        except ClipsLost:
            return None
        self.waiting.drop(*place)
        return manifest

    def _fingerprint_of(self, split: str, index: int) -> str:
        for fingerprint, shards in self.older:
            if index < shards.get(split, 0):
                return fingerprint
        return self.waiting.fingerprint


class KeepingWorker:
    """A `Worker` that keeps the clips aside: on disks each as it is made, elsewhere in groups."""

    def __init__(self, worker: Worker, waiting: WaitingClips) -> None:
        self._worker = worker
        self._waiting = waiting
        self._most = 1 if waiting.dataset.is_local else _GROUP
        self._shard: tuple[Split, int] | None = None
        self._clips: dict[int, Members] = {}

    def run(self, task: Task, attempt: Attempt) -> Outcome:
        def keep(place: int, clip: Made) -> None:
            if isinstance(clip, Quarantined):
                attempt.made(clip)
                return
            self._keep((task.split, task.shard), place, clip[1])
            attempt.made(None)

        kept: tuple[int, ...] = ()
        left: Task | None = task
        if attempt.again:
            found = self._waiting.find(task.split, task.shard)
            kept, left = tuple(p for p in task.places if p in found), task.without(found)
            for _ in kept:
                attempt.made(None)
        if left is None:
            return Outcome(kept)
        outcome = self._worker.run(
            left,
            given_up=attempt.given_up,
            careful=attempt.again,
            starting=attempt.starting,
            made=keep,
        )
        return Outcome(
            kept + outcome.made,
            outcome.quarantined,
            outcome.survey_seconds,
            outcome.clips_seconds,
        )

    def flush(self) -> None:
        if self._shard is not None and self._clips:
            self._waiting.keep(*self._shard, self._clips)
            self._clips = {}

    def cpu_seconds(self) -> float:
        return 0.0

    def _keep(self, shard: tuple[Split, int], place: int, members: Members) -> None:
        if shard != self._shard:
            self.flush()
            self._shard = shard
        self._clips[place] = members
        if len(self._clips) >= self._most:
            self.flush()
