"""What a build tells whoever watches it."""

from pipelines.plan import Plan
from pipelines.worker import Made, TaskResult
from shards.manifest import Manifest

__all__ = ["Reporter"]


class Reporter:
    """What a build reports while it runs; this one reports nothing."""

    def planned(self, plan: Plan, committed: list[Manifest], waiting: int) -> None:
        """Before work starts: what an earlier run has left, `committed` shards and clips `waiting`
        for theirs."""

    def working_here(self, *, ray_later: bool) -> None:
        """Clips are made in this process; `ray_later`: until starting Ray would pay."""

    def starting_ray(self, workers: int, address: str | None) -> None:
        """Before Ray is started, or the cluster at `address` is joined."""

    def made(self, clip: Made) -> None:
        """A clip is made, or quarantined."""

    def done(self, result: TaskResult) -> None:
        """A task's clips are made."""

    def committed(self, manifest: Manifest) -> None:
        """A shard is on disk and will not be made again."""
