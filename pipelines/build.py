"""Building a dataset: list, plan, estimate, skip what is committed, run and commit the rest."""

import heapq
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from pipelines.commit import Hands, RealHands
from pipelines.compute import Compute, Stopwatch, ray_saves_time, ray_start_seconds, speedup
from pipelines.engine import run
from pipelines.gather import Gathering
from pipelines.generations import earlier_in, plan_generations
from pipelines.guard import GuardedHands, Guards
from pipelines.notices import check_source, notices
from pipelines.plan import Plan, Task, make_plan
from pipelines.progress_file import told
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter, Several, Standing
from pipelines.retry import forget, given_densepose, remember, set_aside
from pipelines.scan import Scan
from pipelines.spread import spread_over
from pipelines.worker import Made, Outcome, Setup, Worker
from preprocess.errors import InputError
from preprocess.provenance import provenance
from preprocess.remote import located
from preprocess.sources.densepose import with_densepose
from preprocess.sources.groups import grouped
from preprocess.sources.registry import list_videos
from preprocess.sources.values import Split
from preprocess.sources.videos import in_turn
from shards.dataset import Build, DatasetInfo, check_for_build, open_for_build, read_info, source_of
from shards.environment import differences, recorded
from shards.errors import BadManifest
from shards.files.home import expanded
from shards.files.leases import leased
from shards.files.locks import LOCK, Taken, exclusive
from shards.files.storage import Store
from shards.manifest import Manifest, Quarantined, load_each, shard_name
from shards.videos import videos_bytes
from shards.waiting import WaitingClips

__all__ = ["BuildSummary", "Estimate", "build", "check_out", "estimate", "plan_build"]

# Tasks of which an estimate tries clips, and seconds after which it tries no more of them.
TRIES = 6
TRY_SECONDS = 10.0


@dataclass(frozen=True)
class BuildSummary:
    """How a build ended. `info` is what `dataset.json` says now."""

    info: DatasetInfo
    quarantined: tuple[Quarantined, ...]
    shards_made: int
    shards_kept: int


def check_out(
    recipe: Recipe,
    source: Path,
    out: str,
    compute: Compute,
    weights: Path | None,
    *,
    dry_run: bool = False,
) -> None:
    """Find before the source is read what would stop the build: `out`, weights, packages, a GPU.

    Leaves nothing behind. A dry run needs no weights. Raises as `build`.
    """
    store = Store.at(out)
    here = Path(store.root).resolve() if store.is_local else located(store.url())
    if here.is_relative_to(source.resolve()):
        raise InputError(
            f"{out} lies in the source {source}, of which it would be taken for a part: choose an "
            "--out outside"
        )
    store.check_writable()
    try:
        setup = _setup(recipe, source, compute, weights)
    except InputError:
        if dry_run:
            return
        raise
    check_for_build(store, recipe.as_json(setup.made_by.records, half=setup.hardware.half))


def plan_build(
    recipe: Recipe,
    source: Path,
    on_file: Callable[[], None] = lambda: None,
    *,
    processes: int = 1,
    address: str | None = None,
    on_frames: Callable[[int], None] = lambda frames: None,
    out: str | None = None,
    extend: bool = False,
    retry: bool = False,
) -> Plan:
    """List the source and plan its clips; where `out` holds a dataset already, as it was planned.

    `extend`: videos that the dataset has not are added, in shards that follow its own. `retry`:
    they are left out.

    A large source is listed, and cuts are looked for, in so many processes, one being this one, or
    on the cluster at `address`; `on_frames` is called with the number of further frames that have
    been looked at. Raises InputError when there is nothing to do, the source lacks what the recipe
    wants, or videos of the dataset are gone or have changed.
    """
    earlier = earlier_in(Store.at(out), extend=extend) if out is not None else None
    # Of other layouts files are stated, not opened: that is quicker than handing them over.
    files = recipe.dataset in ("videos", "ntu120")
    spread = spread_over(processes, address) if files else in_turn
    listing = list_videos(recipe.dataset, source, on_file, recipe.where, spread)
    check_source(recipe, listing)
    grouping = []
    if recipe.group_by is not None:
        listing, said = grouped(listing, recipe.group_by)
        grouping.append(said)
    if recipe.densepose is not None:
        path = expanded(recipe.densepose)
        if "densepose" not in recipe.chosen:
            listing = with_densepose(listing, path)
        elif not path.is_file():
            raise InputError(
                f"--densepose {path} does not exist: give a folder of DensePose images, or a "
                "TorchScript program"
            )
    scan = Scan(recipe, processes, on_frames, spread)
    if earlier is None:
        plan = make_plan(recipe, source, listing, scan)
    else:
        plan = plan_generations(recipe, source, listing, scan, earlier, extend=extend, retry=retry)
    return replace(
        plan,
        split_rules=plan.split_rules if earlier else (*grouping, *plan.split_rules),
        spread=spread,
    )


@dataclass(frozen=True)
class Estimate:
    """What a build will cost on this machine, measured on some of its clips.

    `survey_seconds` are paid once a shot by each worker that makes clips of it; `start_seconds`
    once: loading the annotators, and Ray where it runs. `workers` are those of Ray, 0 for none.
    """

    clip_seconds: float
    survey_seconds: float
    start_seconds: float
    clip_bytes: int
    clips_tried: int
    workers: int
    total_seconds: float
    total_bytes: int


def estimate(plan: Plan, compute: Compute, weights: Path | None = None) -> Estimate:
    """What the plan will cost: some of its clips are made in this process, spread over it.

    Raises InputError when weights are missing, or when none of the clips tried can be made.
    """
    setup = _setup(plan.recipe, plan.source, compute, weights)
    tasks = plan.tasks(plan.shards)
    watch = Stopwatch()
    worker = Worker(setup)
    load_seconds = watch.seconds
    results: list[Outcome] = []
    failures: list[str] = []
    sizes: list[int] = []

    def weigh(place: int, clip: Made) -> None:
        if isinstance(clip, Quarantined):
            failures.append(f"{clip.key}: {clip.reason}")
        else:
            sizes.append(sum(len(data) for _, data in clip[1]))

    for task in _spread(tasks):
        results.append(worker.run(task, made=weigh))
        if results[-1].made and len(results) > 1 and watch.seconds > TRY_SECONDS:
            break
    if not sizes:
        raise InputError("none of the clips tried can be made; " + "; ".join(failures))
    tried = len(sizes) + len(failures)
    clip_seconds = sum(result.clips_seconds for result in results) / tried
    survey_seconds = sum(result.survey_seconds for result in results) / len(results)
    workers = compute.count_workers(
        plan.recipe, setup.hardware, rendered=plan.recipe.dataset == "people"
    )
    seconds, workers = _schedule(
        tasks,
        clip_seconds,
        survey_seconds,
        workers,
        watch.stretch,
        undecided=compute.may_stay_here(plan.recipe, setup.hardware),
    )
    start_seconds = load_seconds + (ray_start_seconds(watch.stretch) if workers else 0)
    clip_bytes = round(sum(sizes) / len(sizes))
    return Estimate(
        clip_seconds,
        survey_seconds,
        start_seconds,
        clip_bytes,
        tried,
        workers,
        start_seconds + seconds,
        plan.clips * clip_bytes,
    )


def _spread(tasks: list[Task]) -> list[Task]:
    """The first clips of a few tasks over the whole plan: some may show no person."""
    step = max(1, len(tasks) // TRIES)
    return [
        replace(t, first_frames=t.first_frames[:2], places=t.places[:2])
        for t in tasks[::step][:TRIES]
    ]


def _schedule(
    tasks: list[Task],
    clip_seconds: float,
    survey_seconds: float,
    workers: int,
    stretch: float,
    *,
    undecided: bool,
) -> tuple[float, int]:
    """Seconds that the tasks take once all is loaded, and on how many of Ray's workers.

    `undecided`: whether `pipelines.engine` weighs this process against Ray, as here.
    """

    def seconds(of: list[Task], count: int) -> float:
        """Each task goes to the first worker that is free, as Ray gives them out."""
        free = [(0.0, number) for number in range(max(count, 1))]
        surveyed: dict[int, tuple[str, int]] = {}
        for task in of:
            ends, number = heapq.heappop(free)
            shot = (task.video.id, task.shot.number)
            ends += len(task.first_frames) * clip_seconds
            if surveyed.get(number) != shot:
                ends += survey_seconds
                surveyed[number] = shot
            heapq.heappush(free, (ends, number))
        slowdown = max(count, 1) / speedup(count) if count else 1.0
        return max(ends for ends, _ in free) * slowdown

    here = seconds(tasks, 0)
    if not undecided or not workers:
        return seconds(tasks, workers), workers
    first = seconds(tasks[:1], 0)
    if ray_saves_time(here - first, workers, stretch):
        return first + seconds(tasks[1:], workers), workers
    return here, 0


def build(
    plan: Plan,
    out: str,
    reporter: Reporter,
    *,
    compute: Compute,
    weights: Path | None = None,
    retry: Callable[[Quarantined], bool] | None = None,
) -> BuildSummary:
    """Make the planned dataset in the folder or URL `out`, or what is missing of it.

    Stopped at any time, by Ctrl-C or a kill, the same call resumes with the clips that are not
    made; the result is the same bytes. Of `compute` the precision alone changes them.
    `weights` is the folder of external files; `retry` says which quarantined clips to try again,
    of all shards: those alone are made. Raises InputError for missing weights and for a folder in
    which another build is at work, and ShardsError for one that holds something else.
    """
    setup = _setup(plan.recipe, plan.source, compute, weights)
    store = Store.at(out)
    with _alone_in(store) as check_alone, told(store) as counts:
        reporter = Several(counts, reporter)
        session = _open(store, plan, setup)
        waiting = WaitingClips(store, session.info.fingerprint)
        failed: dict[tuple[Split, int], dict[int, Quarantined]] = {}

        def stays(manifest: Manifest) -> bool:
            if retry is None or not any(map(retry, manifest.quarantined)):
                return True
            shard = (cast(Split, manifest.split), manifest.index)
            failed[shard] = set_aside(waiting, plan, manifest, retry)
            return False

        there = _Committed(plan, load_each(store, plan.shards), stays)
        kept = len(there.quarantined)
        gathering = Gathering(plan, there.missing(), waiting, failed)
        reporter.planned(plan, there.standing(gathering.found))
        older = zip(session.info.fingerprints, plan.generations[:-1], strict=False)
        real = RealHands(setup, waiting, tuple((f, g.shards) for f, g in older))
        # What another process cannot see (`memory://`) is built in this one.
        watched = compute.clip_timeout > 0 and getattr(store.fs, "protocol", None) != "memory"
        hands: Hands = GuardedHands(real, Guards.of(compute)) if watched else real

        def make() -> None:
            for manifest in run(
                gathering, hands, plan.recipe, setup.hardware, compute, reporter, check_alone
            ):
                there.add(manifest)
                reporter.committed(manifest)

        make()
        try:
            check_alone()
            there.check()
            info = session.finish(plan.shards_by_split)
        except BadManifest:
            # A committer of a build that was killed a moment ago may have replaced a shard after
            # we had, and have been stopped at it: its bytes are the same, but they may be gone.
            there = _Committed(plan, load_each(store, plan.shards))
            gathering = Gathering(plan, there.missing(), waiting)
            make()
            there.check()
            info = session.finish(plan.shards_by_split)
        waiting.drop_all()
        if info.totals["quarantined"]:
            remember(store, plan, weights, compute)
        else:
            forget(store)
    return BuildSummary(info, there.all_quarantined(), len(there.quarantined) - kept, kept)


class _Committed:
    """Shards that are there: how many clips of theirs, and which are quarantined.

    A large plan's manifests would fill the memory: each is forgotten once it is counted. A shard
    that does not hold the clips planned for it, committed or quarantined, is not there.
    """

    def __init__(
        self,
        plan: Plan,
        found: Iterable[Manifest | BadManifest],
        stays: Callable[[Manifest], bool] = lambda manifest: True,
    ) -> None:
        self._plan = plan
        self.quarantined: dict[tuple[str, int], tuple[Quarantined, ...]] = {}
        self._committed: Counter[str] = Counter()
        self._bytes = 0
        for manifest in found:
            if isinstance(manifest, Manifest) and self._fits(manifest) and stays(manifest):
                self._count(manifest)

    def _fits(self, manifest: Manifest) -> bool:
        planned = self._plan.keys(cast(Split, manifest.split), manifest.index)
        return sorted(planned) == sorted(manifest.keys)

    def add(self, manifest: Manifest) -> None:
        if self._fits(manifest):
            self._count(manifest)

    def _count(self, manifest: Manifest) -> None:
        split = manifest.split
        self.quarantined[split, manifest.index] = manifest.quarantined
        self._committed[split] += len(manifest.samples)
        self._bytes += manifest.bytes

    def missing(self) -> list[tuple[Split, int]]:
        return [shard for shard in self._plan.shards if shard not in self.quarantined]

    def standing(self, waiting: int) -> Standing:
        quarantined = Counter(
            split for (split, _), these in self.quarantined.items() for _ in these
        )
        return Standing(
            len(self.quarantined),
            self._committed.total() + quarantined.total(),
            waiting,
            self._committed,
            quarantined,
            Counter(q.kind for these in self.quarantined.values() for q in these),
            self._bytes,
        )

    def check(self) -> None:
        """Planned clips are committed and quarantined ones together, each in its shard, always.

        Raises BadManifest, naming the first shard of which that is not so.
        """
        if missing := self.missing():
            split, index = missing[0]
            raise BadManifest(
                f"{split}/{shard_name(index)}: its planned clips are not all committed or "
                f"quarantined, as in {len(missing)} of {len(self._plan.shards)} shards: run the "
                "same command to resume"
            )

    def all_quarantined(self) -> tuple[Quarantined, ...]:
        """In the plan's order."""
        return tuple(q for shard in sorted(self.quarantined) for q in self.quarantined[shard])


def _setup(recipe: Recipe, source: Path, compute: Compute, weights: Path | None) -> Setup:
    """Raises InputError for files, packages or a GPU that are missing."""
    made_by = provenance(recipe, weights)
    return Setup(recipe, source, weights, compute.hardware(recipe), made_by)


@contextmanager
def _alone_in(store: Store) -> Iterator[Callable[[], None]]:
    """Hold the folder locked, or leased in an object store: two builds would overwrite each other's
    shards. File systems without locks are not watched.

    Yields what raises StorageError once a lease is lost.
    """
    if store.is_local and store.size() is not None:
        yield _always
        return
    try:
        if store.is_local:
            with exclusive(Path(store.root, LOCK), wait=False, optional=True):
                yield _always
        else:
            with leased(store) as lease:
                yield lease.check
    except Taken as error:
        raise InputError(
            f"{store.url()}: another build is writing into this folder: wait until it has ended, "
            "or stop it, or choose another --out"
        ) from error


def _always() -> None:
    """A lock is held until its holder ends."""


def _open(store: Store, plan: Plan, setup: Setup) -> Build:
    recipe = plan.recipe.as_json(setup.made_by.records, half=setup.hardware.half)
    environment = recorded()
    if (old := read_info(store)) is not None and (
        lines := list(differences(old.extras.get("environment", {}), environment))
    ):
        raise InputError(
            "\n  ".join([f"{store.url()} was begun under another environment:", *lines])
            + "\nSet the same to resume, or choose another --out."
        )
    summaries = [generation.summary for generation in plan.generations]
    return open_for_build(
        store,
        {**recipe, "source": plan.source_summary()},
        extends=[
            {**recipe, "source": source_of(summaries[:number])}
            for number in range(1, len(summaries))
        ],
        videos=videos_bytes(plan.source_videos()),
        software={**setup.made_by.software, "python": platform.python_version()},
        weights=setup.made_by.weights(),
        extras={
            "planned": {"clips": plan.clips, "shards": plan.shards_by_split},
            "short_videos": list(plan.short),
            "short_shots": [asdict(video) for video in plan.short_shots],
            "unreadable": [asdict(unreadable) for unreadable in plan.unreadable],
            "passed_over": [asdict(kind) for kind in plan.passed_over],
            "splits": list(plan.split_rules),
            "shots": plan.shots.as_json(),
            "notices": list(notices(plan)),
            "environment": environment,
            **given_densepose(plan.recipe),
        },
    )
