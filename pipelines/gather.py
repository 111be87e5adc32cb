"""What has become of the clips of shards that are not committed, as far as the build knows.

A number for each clip that is made and the reason of each that is not: no byte of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from pipelines.commit import WholeShard
from pipelines.plan import Plan, Task
from pipelines.worker import Outcome
from preprocess.sources.values import Split
from shards.manifest import Quarantined
from shards.waiting import WaitingClips

__all__ = ["Gathering"]

_Shard = tuple[Split, int]


class Gathering:
    """The shards of a plan that are missing. `found` is how many clips an earlier run has left.

    `failed` are clips, by shard and place, that stay quarantined as they are.
    """

    def __init__(
        self,
        plan: Plan,
        shards: Iterable[_Shard],
        waiting: WaitingClips,
        failed: Mapping[_Shard, Mapping[int, Quarantined]] = MappingProxyType({}),
    ) -> None:
        self._plan = plan
        self._waiting = waiting
        left = waiting.find_all()
        self._made: dict[_Shard, frozenset[int]] = {
            shard: self._planned(shard, left.get(shard, frozenset())) for shard in shards
        }
        self._quarantined = {shard: dict(places) for shard, places in failed.items() if places}
        self._handed: set[_Shard] = set()
        self.found = sum(map(len, self._made.values()))

    @property
    def missing(self) -> int:
        """Shards that are not committed."""
        return len(self._made)

    def tasks(self) -> list[Task]:
        """Tasks for the clips that are not made, in the plan's order."""
        shards = [shard for shard in self._made if shard not in self._handed]
        ended = {
            shard: self._made[shard] | self._quarantined.get(shard, {}).keys() for shard in shards
        }
        left = (task.without(ended[task.split, task.shard]) for task in self._plan.tasks(shards))
        return [task for task in left if task is not None]

    def whole(self) -> Iterator[WholeShard]:
        """Shards that have all their clips and were not given out before."""
        for shard in list(self._made):
            if (ready := self._ready(shard)) is not None:
                yield ready

    def add(self, task: Task, outcome: Outcome) -> WholeShard | None:
        """Note what became of a task's clips; its shard, if it has them all now."""
        shard = (task.split, task.shard)
        if shard not in self._made or shard in self._handed:
            return None
        self._made[shard] |= frozenset(outcome.made)
        if outcome.quarantined:
            self._quarantined.setdefault(shard, {}).update(outcome.quarantined)
        return self._ready(shard)

    def committed(self, split: Split, index: int) -> None:
        """Forget a shard: it is there."""
        self._made.pop((split, index), None)
        self._quarantined.pop((split, index), None)
        self._handed.discard((split, index))

    def lost(self, split: Split, index: int) -> None:
        """Clips that were kept aside are gone: look which are left."""
        self._handed.discard((split, index))
        self._made[split, index] = self._planned((split, index), self._waiting.find(split, index))

    def _planned(self, shard: _Shard, places: frozenset[int]) -> frozenset[int]:
        clips = len(self._plan.shards[shard])
        return frozenset(place for place in places if place < clips)

    def _ready(self, shard: _Shard) -> WholeShard | None:
        quarantined = self._quarantined.get(shard, {})
        made = self._made[shard] - quarantined.keys()
        if shard in self._handed or len(made) + len(quarantined) < len(self._plan.shards[shard]):
            return None
        self._handed.add(shard)
        return WholeShard(*shard, self._plan.keys(*shard), made, quarantined)
