"""Building a dataset: list, plan, estimate, skip what is committed, run and commit the rest."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipelines.compute import Compute
from pipelines.engine import run
from pipelines.notices import check_source, notices
from pipelines.plan import Plan, Task, make_plan
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from pipelines.worker import Made, Setup, TaskResult, Worker
from preprocess.errors import InputError
from preprocess.provenance import provenance
from preprocess.sources.densepose import with_densepose
from preprocess.sources.registry import list_videos
from preprocess.sources.values import Split
from shards.dataset import Build, DatasetInfo, check_for_build, open_for_build
from shards.files.locks import LOCK, Taken, exclusive
from shards.files.storage import Store
from shards.manifest import Manifest, Quarantined, find_manifest
from shards.sample.codec import Members
from shards.waiting import WaitingClips
from shards.writer import commit_shard

__all__ = ["BuildSummary", "Estimate", "build", "check_out", "estimate", "plan_build"]

# Clips that an estimate tries.
TRIES = 6
# Most shards of a build that writes to an object store and still keeps each clip as it is made:
# a large one loses less by a stop than it would pay for the requests.
KEPT_SHARDS = 64


@dataclass(frozen=True)
class BuildSummary:
    """How a build ended. `info` is what `dataset.json` says now."""

    info: DatasetInfo
    quarantined: tuple[Quarantined, ...]
    shards_made: int
    shards_kept: int


def check_out(
    recipe: Recipe, out: str, compute: Compute, weights: Path | None, *, dry_run: bool = False
) -> None:
    """Find before the source is read what would stop the build: `out`, weights, packages, a GPU.

    Leaves nothing behind. A dry run needs no weights. Raises as `build`.
    """
    store = Store.at(out)
    store.check_writable()
    try:
        setup = _setup(recipe, compute, weights)
    except InputError:
        if dry_run:
            return
        raise
    check_for_build(store, recipe.as_json(setup.made_by.records, half=setup.hardware.half))


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
    setup = _setup(plan.recipe, compute, weights)
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

    Stopped at any time, by Ctrl-C or a kill, the same call resumes with the clips that are not
    made; the result is the same bytes. Of `compute` the precision alone changes them.
    `weights` is the folder of external files; `retry_quarantined` makes shards with quarantined
    clips again. Raises InputError for missing weights and for a folder in which another build is at
    work, and ShardsError for one that holds something else.
    """
    setup = _setup(plan.recipe, compute, weights)
    store = Store.at(out)
    with _alone_in(store):
        session = _open(store, plan, setup)
        manifests: dict[tuple[str, int], Manifest] = {}
        for shard in plan.shards:
            manifest = find_manifest(store, *shard)
            if manifest and not (retry_quarantined and manifest.quarantined):
                manifests[shard] = manifest
        kept = len(manifests)
        missing = [shard for shard in plan.shards if shard not in manifests]
        waiting = WaitingClips(store, session.info.fingerprint)
        making = _Making(plan, missing, waiting.find_all())
        reporter.planned(plan, list(manifests.values()), making.found)
        keep_all = store.is_local or len(missing) <= KEPT_SHARDS

        def keep(task: Task, samples: Sequence[tuple[str, Members]]) -> None:
            if keep_all and len(samples) < len(plan.shards[task.split, task.shard]):
                waiting.keep(task.split, task.shard, samples)

        def commit(shard: tuple[Split, int]) -> None:
            samples, quarantined = making.take(shard)
            manifest = commit_shard(
                store, *shard, samples, quarantined, fingerprint=session.info.fingerprint
            )
            waiting.drop(*shard)
            manifests[shard] = manifest
            reporter.committed(manifest)

        for shard in missing:
            if making.is_whole(shard):
                commit(shard)
        if tasks := making.tasks():
            for result in run(tasks, plan, setup, compute, reporter, keep):
                reporter.done(result)
                shard = (result.task.split, result.task.shard)
                making.add(shard, result)
                if making.is_whole(shard):
                    commit(shard)
        info = session.finish(plan.shards_by_split)
        waiting.drop_all()
    in_order = [manifests[shard] for shard in sorted(manifests)]
    quarantined = tuple(q for manifest in in_order for q in manifest.quarantined)
    return BuildSummary(info, quarantined, len(manifests) - kept, kept)


def _setup(recipe: Recipe, compute: Compute, weights: Path | None) -> Setup:
    """Raises InputError for files, packages or a GPU that are missing."""
    made_by = provenance(recipe, weights)
    return Setup(weights, compute.hardware(recipe), made_by)


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


class _Making:
    """Shards that are being made: what became of each of their clips, as far as is known.

    `found` is how many clips an earlier run has left.
    """

    def __init__(
        self,
        plan: Plan,
        shards: Sequence[tuple[Split, int]],
        waiting: Mapping[tuple[str, int], Mapping[str, Members]],
    ) -> None:
        self._plan = plan
        self._keys = {
            shard: [plan.key(clip.video, clip.first_frame) for clip in plan.shards[shard]]
            for shard in shards
        }
        self._made: dict[tuple[Split, int], dict[str, Made]] = {
            shard: {k: (k, waiting[shard][k]) for k in keys if k in waiting.get(shard, ())}
            for shard, keys in self._keys.items()
        }
        self.found = sum(map(len, self._made.values()))

    def tasks(self) -> list[Task]:
        """Tasks for the clips that are not made."""
        tasks = []
        for task in self._plan.tasks(self._keys):
            made = self._made[task.split, task.shard]
            missing = tuple(
                f for f in task.first_frames if self._plan.key(task.video, f) not in made
            )
            if missing:
                tasks.append(replace(task, first_frames=missing))
        return tasks

    def add(self, shard: tuple[Split, int], result: TaskResult) -> None:
        self._made[shard] |= {key: (key, members) for key, members in result.samples}
        self._made[shard] |= {clip.key: clip for clip in result.quarantined}

    def is_whole(self, shard: tuple[Split, int]) -> bool:
        return len(self._made[shard]) == len(self._keys[shard])

    def take(self, shard: tuple[Split, int]) -> tuple[list[tuple[str, Members]], list[Quarantined]]:
        """A whole shard's clips in the plan's order; they are forgotten here."""
        made = self._made.pop(shard)
        in_order = [made[key] for key in self._keys[shard]]
        return (
            [clip for clip in in_order if not isinstance(clip, Quarantined)],
            [clip for clip in in_order if isinstance(clip, Quarantined)],
        )


def _single_clips(plan: Plan) -> list[Task]:
    """A few clips spread over the plan: the first may show no person."""
    clips = [(split, shard, clip) for (split, shard), cs in plan.shards.items() for clip in cs]
    step = max(1, len(clips) // TRIES)
    return [
        Task(split, shard, 0, clip.video, clip.shot, (clip.first_frame,))
        for split, shard, clip in clips[::step][:TRIES]
    ]
