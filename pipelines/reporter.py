"""What a build tells whoever watches it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.plan import Plan, Task
from pipelines.worker import Outcome
from shards.manifest import Manifest, Quarantined

__all__ = ["Reporter", "Standing"]


@dataclass(frozen=True)
class Standing:
    """What an earlier run has left: shards that are committed, clips in them, and clips that wait
    for shards of their own."""

    shards: int = 0
    clips: int = 0
    waiting: int = 0


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
