"""Building a dataset: list, plan, estimate, skip what is committed, run and commit the rest."""

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.compute import Compute
from pipelines.engine import run
from pipelines.notices import check_source, notices
from pipelines.plan import Plan, Task, make_plan
from pipelines.recipe import Recipe
from pipelines.worker import Setup, TaskResult, Worker
from preprocess.errors import InputError
from preprocess.provenance import provenance
from preprocess.sources.densepose import with_densepose
from preprocess.sources.registry import list_videos
from preprocess.sources.values import Split
from shards.dataset import Build, DatasetInfo, open_for_build
from shards.files.locks import LOCK, Taken, exclusive
from shards.files.storage import Store
from shards.manifest import Manifest, Quarantined, find_manifest
from shards.writer import commit_shard

__all__ = ["BuildSummary", "Estimate", "Reporter", "build", "estimate", "plan_build"]

# Clips that an estimate tries.
TRIES = 6


class Reporter:
    """What a build reports while it runs; this one reports nothing."""

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
    if recipe.densepose is not None:
        path = Path(recipe.densepose).expanduser()
        if "densepose" not in recipe.chosen:
            listing = with_densepose(listing, path)
        elif not path.is_file():
            raise InputError(
                f"--densepose {path} does not exist: give a folder of DensePose images, or a "
                "TorchScript program"
            )
    return make_plan(recipe, source, listing)


@dataclass(frozen=True)
class Estimate:
    """Seconds are those of one worker on this machine; `survey_seconds` are paid once a video."""

    clip_seconds: float
    survey_seconds: float
    clip_bytes: int
    workers: int
    total_seconds: float  # with these workers, if there are as many cores
    total_bytes: int


def estimate(plan: Plan, compute: Compute, weights: Path | None = None) -> Estimate:
    """What the plan will cost: one of its clips is made twice, the second time of a known video.

    Raises InputError when weights are missing, or when none of the clips tried can be made.
    """
    setup = _setup(plan, compute, weights)
    worker = Worker(plan, setup)
    failures = []
    for task in _single_clips(plan):
        started = time.perf_counter()
        result = worker.run(task)
        if result.samples:
            break
        failures += [f"{clip.key}: {clip.reason}" for clip in result.quarantined]
    else:
        raise InputError("none of the clips tried can be made; " + "; ".join(failures))
    again = time.perf_counter()
    worker.run(task)
    clip_seconds = time.perf_counter() - again
    survey_seconds = max(again - started - clip_seconds, 0.0)
    ((_, members),) = result.samples
    clip_bytes = sum(len(data) for _, data in members)
    videos = len({c.video for shard in plan.shards.values() for c in shard})
    total = plan.clips * clip_seconds + videos * survey_seconds
    workers = max(compute.count_workers(plan.recipe, setup.hardware), 1)
    return Estimate(
        clip_seconds,
        survey_seconds,
        clip_bytes,
        workers,
        total / workers,
        plan.clips * clip_bytes,
    )


def build(
    plan: Plan,
    out: str,
    reporter: Reporter,
    *,
    compute: Compute,
    weights: Path | None = None,
    retry_quarantined: bool = False,
) -> BuildSummary:
    """Make the planned dataset in the folder or URL `out`, or what is missing of it.

    Stopped at any time, by Ctrl-C or a kill, the same call resumes with the shards that are not
    committed; the result is the same bytes. Of `compute` the precision alone changes them.
    `weights` is the folder of external files; `retry_quarantined` makes shards with quarantined
    clips again. Raises InputError for missing weights and for a folder in which another build is at
    work, and ShardsError for one that holds something else.
    """
    setup = _setup(plan, compute, weights)
    store = Store.at(out)
    with _alone_in(store):
        session = _open(store, plan, setup)
        manifests: dict[tuple[str, int], Manifest] = {}
        for shard in plan.shards:
            manifest = find_manifest(store, *shard)
            if manifest and not (retry_quarantined and manifest.quarantined):
                manifests[shard] = manifest
        kept = len(manifests)
        reporter.planned(plan, list(manifests.values()))
        tasks = plan.tasks(shard for shard in plan.shards if shard not in manifests)
        if tasks:
            for manifest in _commit(tasks, run(tasks, plan, setup, compute), session, reporter):
                manifests[manifest.split, manifest.index] = manifest
                reporter.committed(manifest)
        info = session.finish(plan.shards_by_split)
    in_order = [manifests[shard] for shard in sorted(manifests)]
    quarantined = tuple(q for manifest in in_order for q in manifest.quarantined)
    return BuildSummary(info, quarantined, len(manifests) - kept, kept)


def _setup(plan: Plan, compute: Compute, weights: Path | None) -> Setup:
    """Raises InputError for files, packages or a GPU that are missing."""
    made_by = provenance(plan.recipe, weights)
    return Setup(weights, compute.hardware(plan.recipe), made_by)


@contextmanager
def _alone_in(store: Store) -> Iterator[None]:
    """Hold the folder locked: two builds would overwrite each other's shards.

    Object stores and file systems without locks are not watched.
    """
    if not store.is_local or store.size() is not None:
        yield
        return
    try:
        with exclusive(Path(store.root, LOCK), wait=False, optional=True):
            yield
    except Taken as error:
        raise InputError(
            f"{store.url()}: another build is writing into this folder: wait until it has ended, "
            "or stop it, or choose another --out"
        ) from error


def _open(store: Store, plan: Plan, setup: Setup) -> Build:
    recipe = plan.recipe.as_json(setup.made_by.records, half=setup.hardware.half)
    return open_for_build(
        store,
        {**recipe, "source": plan.source_summary()},
        software={**setup.made_by.software, "python": platform.python_version()},
        weights=setup.made_by.weights(),
        extras={
            "short_videos": list(plan.short),
            "unreadable": [asdict(unreadable) for unreadable in plan.unreadable],
            "splits": list(plan.split_rules),
            "notices": list(notices(plan)),
        },
    )


def _commit(
    tasks: list[Task], results: Iterator[TaskResult], session: Build, reporter: Reporter
) -> Iterator[Manifest]:
    """Commit each shard as soon as its last task is done; tasks end in any order."""
    waiting = Counter((task.split, task.shard) for task in tasks)
    finished: dict[tuple[Split, int], list[TaskResult]] = {shard: [] for shard in waiting}
    for result in results:
        shard = (result.task.split, result.task.shard)
        finished[shard].append(result)
        reporter.done(result)
        if len(finished[shard]) == waiting[shard]:
            in_order = sorted(finished.pop(shard), key=lambda r: r.task.position)
            yield commit_shard(
                session.store,
                *shard,
                [sample for r in in_order for sample in r.samples],
                [clip for r in in_order for clip in r.quarantined],
                fingerprint=session.info.fingerprint,
            )
    if finished:
        raise InputError(
            f"{len(finished)} shards lack clips although every task ended; run the command again"
        )


def _single_clips(plan: Plan) -> list[Task]:
    """A few clips spread over the plan: the first may show no person."""
    clips = [(split, shard, clip) for (split, shard), cs in plan.shards.items() for clip in cs]
    step = max(1, len(clips) // TRIES)
    return [
        Task(split, shard, 0, clip.video, clip.shot, (clip.first_frame,))
        for split, shard, clip in clips[::step][:TRIES]
    ]
