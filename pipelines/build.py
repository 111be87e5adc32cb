"""Building a dataset: list, plan, skip what is committed, run the rest, commit shard by shard."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from pipelines.engine import run_here, run_on_ray
from pipelines.plan import Plan, make_plan
from pipelines.recipe import Recipe
from pipelines.worker import Made, TaskResult
from preprocess import weights
from preprocess.annotators import required_files
from preprocess.errors import InputError
from preprocess.sources.base import Split, list_videos
from shards.dataset import Build, DatasetInfo, open_for_build
from shards.manifest import Manifest, Quarantined, find_manifest
from shards.storage import Store
from shards.writer import commit_shard

__all__ = ["BuildSummary", "Reporter", "Where", "build", "plan_build"]

# The packages whose versions can change a dataset's bytes.
SOFTWARE = ("idol-video", "ai-edge-litert", "av", "numpy", "opencv-python-headless", "pyarrow")


@dataclass(frozen=True)
class Where:
    """Where a build reads, writes and runs; nothing of this changes a byte of the dataset."""

    source: Path
    out: str
    workers: int
    address: str | None = None
    weights: Path | None = None


class Reporter:
    """What a build tells while it runs; this one keeps silent."""

    def planned(self, plan: Plan, committed: list[Manifest]) -> None:
        """Before work starts; `committed` shards are kept from an earlier run."""

    def done(self, result: TaskResult) -> None:
        """A task's clips are made."""

    def committed(self, manifest: Manifest) -> None:
        """A shard is on disk and will not be made again."""


@dataclass(frozen=True)
class BuildSummary:
    """How a build ended. `info` is what `dataset.json` says now."""

    info: DatasetInfo
    quarantined: tuple[Quarantined, ...]
    shards_made: int
    shards_kept: int


def plan_build(recipe: Recipe, source: Path, on_file: Callable[[], None] = lambda: None) -> Plan:
    """List the source and plan its clips. Raises InputError when there is nothing to do."""
    return make_plan(recipe, list_videos(recipe.dataset, source, on_file))


def build(
    plan: Plan, where: Where, reporter: Reporter, *, retry_quarantined: bool = False
) -> BuildSummary:
    """Make the planned dataset, or what is missing of it.

    Stopped at any time, by Ctrl-C or a kill, the same call goes on with the shards that are not
    committed; the result is the same bytes. `retry_quarantined` makes shards with quarantined
    clips anew. Raises InputError for missing weights, and ShardsError for a folder that holds
    something else.
    """
    recipe = plan.recipe
    files = required_files(recipe.annotators)
    weights.require(files, where.weights)
    store = Store.at(where.out)
    session = open_for_build(
        store,
        {**recipe.as_json(), "source": plan.source_summary()},
        software={name: version(name) for name in SOFTWARE} | {"python": platform.python_version()},
        weights={
            f.name: {"sha256": weights.checksum(f.name, where.weights), "licence": f.licence}
            for f in files
        },
        extras={
            "short_videos": list(plan.short),
            "unreadable": [asdict(unreadable) for unreadable in plan.unreadable],
        },
    )
    kept: dict[tuple[Split, int], Manifest] = {}
    for split, index in plan.shards:
        manifest = find_manifest(store, split, index)
        if manifest and not (retry_quarantined and manifest.quarantined):
            kept[split, index] = manifest
    reporter.planned(plan, list(kept.values()))
    pending = [shard for shard in plan.shards if shard not in kept]
    manifests = list(kept.values())
    for manifest in _make_shards(plan, pending, where, session, reporter):
        manifests.append(manifest)
        reporter.committed(manifest)
    info = session.finish(plan.shards_by_split)
    manifests.sort(key=lambda m: (m.split, m.index))
    quarantined = tuple(q for manifest in manifests for q in manifest.quarantined)
    return BuildSummary(info, quarantined, len(pending), len(kept))


def _make_shards(
    plan: Plan,
    pending: list[tuple[Split, int]],
    where: Where,
    session: Build,
    reporter: Reporter,
) -> Iterator[Manifest]:
    """Commit each shard as soon as its last task is done; tasks end in any order."""
    tasks = plan.tasks(pending)
    if not tasks:
        return
    if where.workers:
        results = run_on_ray(tasks, plan, where.source, where.weights, where.workers, where.address)
    else:
        results = run_here(tasks, plan, where.source, where.weights)
    waiting = Counter((task.split, task.shard) for task in tasks)
    finished: dict[tuple[Split, int], list[TaskResult]] = {shard: [] for shard in pending}
    for result in results:
        shard = (result.task.split, result.task.shard)
        finished[shard].append(result)
        reporter.done(result)
        if len(finished[shard]) == waiting[shard]:
            in_order = sorted(finished.pop(shard), key=lambda r: r.task.position)
            clips = [clip for r in in_order for clip in r.clips]
            yield commit_shard(
                session.store,
                *shard,
                [(clip.key, clip.members) for clip in clips if isinstance(clip, Made)],
                [clip for clip in clips if isinstance(clip, Quarantined)],
                fingerprint=session.info.fingerprint,
            )
    if finished:
        raise InputError(
            f"{len(finished)} shards lack clips although every task ended; run the command again"
        )
