"""What a build tells whoever watches it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.plan import Plan, Task
from pipelines.worker import Outcome
from shards.manifest import Manifest, Quarantined

__all__ = ["Reporter", "Several", "Standing"]


@dataclass(frozen=True)
class Standing:
    """What is there: shards that are committed, clips in them, and clips that wait for shards of
    their own.

    `committed` and `quarantined` are the clips in those shards, by split, and `kinds` the latter by
    kind; `bytes` are those of the tars.
    """

    shards: int = 0
    clips: int = 0
    waiting: int = 0
    committed: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0


class Reporter:
    """What a build reports while it runs; this one reports nothing."""

    def planned(self, plan: Plan, standing: Standing) -> None:
        """Before work starts."""

    def working_here(self, *, ray_later: bool) -> None:
        """Clips are made in this process; `ray_later`: until starting Ray would pay."""

    def starting_ray(self, workers: int, address: str | None) -> None:
        """Before Ray is started, or the cluster at `address` is joined."""

    def made(self, clips: int, quarantined: Sequence[Quarantined]) -> None:
        """So many more clips have come to their end, those that are quarantined among them."""

    def done(self, task: Task, outcome: Outcome) -> None:
        """A task's clips have, all of them."""

    def committed(self, manifest: Manifest) -> None:
        """A shard is on disk and will not be made again."""


class Several(Reporter):
    """Tells several reporters."""

    def __init__(self, *reporters: Reporter) -> None:
        self._all = reporters

    def planned(self, plan: Plan, standing: Standing) -> None:
        for reporter in self._all:
            reporter.planned(plan, standing)

    def working_here(self, *, ray_later: bool) -> None:
        for reporter in self._all:
            reporter.working_here(ray_later=ray_later)

    def starting_ray(self, workers: int, address: str | None) -> None:
        for reporter in self._all:
            reporter.starting_ray(workers, address)

    def made(self, clips: int, quarantined: Sequence[Quarantined]) -> None:
        for reporter in self._all:
            reporter.made(clips, quarantined)

    def done(self, task: Task, outcome: Outcome) -> None:
        for reporter in self._all:
            reporter.done(task, outcome)

    def committed(self, manifest: Manifest) -> None:
        for reporter in self._all:
            reporter.committed(manifest)
