"""Building a dataset: list, plan, skip what is committed, run the rest, commit shard by shard."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipelines.compute import Compute
from pipelines.engine import Cluster, run_here, run_on_ray
from pipelines.folder_lock import alone_in
from pipelines.notices import check_source, notices
from pipelines.plan import Plan, make_plan
from pipelines.recipe import Recipe
from pipelines.worker import Made, Setup, TaskResult
from preprocess.annotators.provenance import provenance
from preprocess.errors import InputError
from preprocess.sources.densepose import with_densepose
from preprocess.sources.registry import list_videos
from preprocess.sources.values import Split
from shards.dataset import Build, DatasetInfo, open_for_build
from shards.files.storage import Store
from shards.manifest import Manifest, Quarantined, find_manifest
from shards.writer import commit_shard

__all__ = ["BuildSummary", "Reporter", "Where", "build", "plan_build"]


@dataclass(frozen=True)
class Where:
    """Where a build reads, writes and runs: of this only the precision changes the dataset.

    `workers`: 0 works in this process; None takes as many as `compute` finds sensible.
    """

    source: Path
    out: str
    workers: int | None
    address: str | None = None
    weights: Path | None = None
    compute: Compute = field(default_factory=Compute)

    def setup(self, plan: Plan) -> Setup:
        """What a worker needs to know besides the plan, once the files have been checked.

        Raises InputError for files, packages or a GPU that are missing.
        """
        made_by = provenance(plan.recipe, self.weights)
        hardware = self.compute.hardware(plan.recipe, elsewhere=self.address is not None)
        return Setup(self.source, self.weights, hardware, made_by)

    def cluster(self, plan: Plan, setup: Setup) -> Cluster:
        """How many workers, where, and what each asks for."""
        choice = plan.recipe
        workers = self.workers
        if workers is None:
            workers = self.compute.default_workers(choice, setup.hardware)
        gpus = self.compute.gpus_per_worker(choice, setup.hardware)
        return Cluster(workers, gpus, self.address)


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


def plan_build(
    recipe: Recipe,
    source: Path,
    on_file: Callable[[], None] = lambda: None,
) -> Plan:
    """List the source and plan its clips.

    Raises InputError when there is nothing to do, or the source lacks what the recipe wants.
    """
    listing = list_videos(recipe.dataset, source, on_file, recipe.where)
    check_source(recipe, listing)
    if recipe.densepose is not None and "densepose" not in recipe.chosen:
        listing = with_densepose(listing, Path(recipe.densepose).expanduser())
    return make_plan(recipe, listing)


def build(
    plan: Plan, where: Where, reporter: Reporter, *, retry_quarantined: bool = False
) -> BuildSummary:
    """Make the planned dataset, or what is missing of it.

    Stopped at any time, by Ctrl-C or a kill, the same call goes on with the shards that are not
    committed; the result is the same bytes. `retry_quarantined` makes shards with quarantined
    clips anew. Raises InputError for missing weights and for a folder in which another build is at
    work, and ShardsError for one that holds something else.
    """
    setup = where.setup(plan)
    store = Store.at(where.out)
    with alone_in(store):
        return _build(plan, setup, store, where, reporter, retry_quarantined)


def _build(
    plan: Plan,
    setup: Setup,
    store: Store,
    where: Where,
    reporter: Reporter,
    retry_quarantined: bool,
) -> BuildSummary:
    recipe = plan.recipe
    session = open_for_build(
        store,
        {
            **recipe.as_json(setup.made_by.records, half=setup.hardware.half),
            "source": plan.source_summary(),
        },
        software={**setup.made_by.software, "python": platform.python_version()},
        weights=setup.made_by.weights(),
        extras={
            "short_videos": list(plan.short),
            "unreadable": [asdict(unreadable) for unreadable in plan.unreadable],
            "splits": list(plan.split_rules),
            "notices": list(notices(plan)),
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
    for manifest in _make_shards(plan, pending, setup, where, session, reporter):
        manifests.append(manifest)
        reporter.committed(manifest)
    info = session.finish(plan.shards_by_split)
    manifests.sort(key=lambda m: (m.split, m.index))
    quarantined = tuple(q for manifest in manifests for q in manifest.quarantined)
    return BuildSummary(info, quarantined, len(pending), len(kept))


def _make_shards(
    plan: Plan,
    pending: list[tuple[Split, int]],
    setup: Setup,
    where: Where,
    session: Build,
    reporter: Reporter,
) -> Iterator[Manifest]:
    """Commit each shard as soon as its last task is done; tasks end in any order."""
    tasks = plan.tasks(pending)
    if not tasks:
        return
    cluster = where.cluster(plan, setup)
    if cluster.workers:
        results = run_on_ray(tasks, plan, setup, cluster)
    else:
        results = run_here(tasks, plan, setup)
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
