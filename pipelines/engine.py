"""Running a build's work: in this process, or on Ray Data with workers in an actor pool.

Its shape, and who knows what:

    driver      holds the plan and `pipelines.gather.Gathering`: which clips are made, not a byte
      │  Task   (a few clips of one shot of a video, with the video: workers know no plan)
      ▼
    workers     `pipelines.commit.Hands.worker()`: annotate, and keep each clip aside in the output
      │  Outcome (places of clips that are kept, reasons of those that are not)
      ▼
    driver      `Gathering.add` says when a shard has all its clips
      │  WholeShard (keys, places, reasons)
      ▼
    committers  `Hands.commit`: a Ray task for each shard, on any machine, reads the clips that
      │         were kept, writes tar and manifest
      ▼
    driver      is given the `Manifest`

Results come in any order: what goes where is the plan's business. Whatever is killed is run again:
Ray restarts workers and repeats their tasks, of which clips that were kept are not made again; a
clip that was kept and is lost is made again in another pass. `_Ledger` remembers which clip a
worker died on, so that one that kills every worker is given up instead of killing them for ever.
"""

import logging
import pickle
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

from pipelines.cluster import on_ray
from pipelines.commit import Attempt, Hands, WholeShard
from pipelines.compute import Compute, Stopwatch, ray_saves_time
from pipelines.gather import Gathering
from pipelines.guard import MAX_DEATHS
from pipelines.plan import Task
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from pipelines.worker import Outcome
from preprocess.annotators.spec import Hardware
from preprocess.errors import InputError
from shards.environment import differences, limit_threads, recorded, settle
from shards.errors import ShardsError
from shards.manifest import Manifest, Quarantined

__all__ = ["run"]

_DEADLY = f"killed its worker {MAX_DEATHS} times (out of memory, or a crash)"
# Times that what was kept aside may be lost before the output is taken for broken.
_PASSES = 5
# Each batch is a block of Ray Data, which costs the driver milliseconds whatever is in it (bench/
# driver.py rate): large plans put several tasks into one, but so many batches a worker are there
# that all have work until the end.
MAX_BATCHES = 1024
_BATCHES_A_WORKER = 16
# Committers at a time for so many workers; whole shards that may wait for one until workers pause.
_WORKERS_A_COMMITTER = 4
_BACKLOG = 4
_PAUSE = 0.2  # seconds
# Times that Ray runs a committer again that was killed.
_COMMITTER_RETRIES = 20


def run(
    gathering: Gathering,
    hands: Hands,
    recipe: Recipe,
    hardware: Hardware,
    compute: Compute,
    reporter: Reporter,
    check_alone: Callable[[], None] = lambda: None,
) -> Iterator[Manifest]:
    """Make and commit what is missing, on as many workers as `compute` says: Ray actors, or this
    process for none. Yields each shard's manifest once it is committed.

    Where `compute` says nothing, this process begins, and Ray takes over if what is left would
    take longer than starting Ray saves. Ray is started and stopped here unless it was running.
    `check_alone` is called before each commit, and raises where another has taken the output.
    Raises InputError when Ray cannot be reached, has too few GPUs, or when a worker cannot start.
    """
    workers = compute.count_workers(recipe, hardware, rendered=recipe.dataset == "people")
    undecided = compute.may_stay_here(recipe, hardware)
    for _ in range(_PASSES):
        if not gathering.missing:
            return
        tasks = gathering.tasks()
        if not tasks or not workers or undecided:
            if tasks:
                reporter.working_here(ray_later=undecided and workers > 1)
            most = workers if undecided else 0
            left = yield from _run_here(tasks, gathering, hands, reporter, check_alone, most)
            tasks = tasks[-left:] if left else []
        if tasks:
            fraction = compute.gpus_per_worker(recipe, hardware)
            yield from _run_on_ray(
                tasks, gathering, hands, workers, fraction, compute.address, reporter, check_alone
            )
    if gathering.missing:
        raise InputError(
            f"{gathering.missing} shards were not committed, because clips that were kept aside "
            f"in --out were damaged {_PASSES} times: is its disk in order?"
        )


def _run_here(
    tasks: list[Task],
    gathering: Gathering,
    hands: Hands,
    reporter: Reporter,
    check_alone: Callable[[], None],
    workers: int,
) -> Generator[Manifest, None, int]:
    """Run tasks in this process: all, or as long as `workers` of Ray would not end sooner.

    Returns how many of the tasks are left.
    """

    def commit(shard: WholeShard) -> Iterator[Manifest]:
        check_alone()
        manifest = hands.commit(shard)
        if manifest is None:
            gathering.lost(shard.split, shard.index)
        else:
            gathering.committed(shard.split, shard.index)
            yield manifest

    for shard in gathering.whole():
        yield from commit(shard)
    if not tasks:
        return 0
    watch = Stopwatch()
    if not workers:  # Ray's workers would have as many threads each
        limit_threads()
    worker = hands.worker()
    made, left = 0, sum(len(task.first_frames) for task in tasks)

    def each(quarantined: Quarantined | None) -> None:
        reporter.made(1, [quarantined] if quarantined else [])

    for number, task in enumerate(tasks, 1):
        try:
            outcome = worker.run(task, Attempt(made=each))
        finally:
            worker.flush()
        reporter.done(task, outcome)
        if (ready := gathering.add(task, outcome)) is not None:
            yield from commit(ready)
        made, left = made + len(task.first_frames), left - len(task.first_frames)
        stretch = watch.stretch_of(worker.cpu_seconds())
        if ray_saves_time(watch.seconds / made * left, workers, stretch):
            return len(tasks) - number
    return 0


def _run_on_ray(
    tasks: list[Task],
    gathering: Gathering,
    hands: Hands,
    workers: int,
    fraction: float,
    address: str | None,
    reporter: Reporter,
    check_alone: Callable[[], None],
) -> Iterator[Manifest]:
    reporter.starting_ray(workers, address)
    with on_ray(workers, address) as ray:
        _quieten_ray_data(ray)
        workers = _fitting(workers, fraction, float(ray.cluster_resources().get("GPU", 0)))
        # Restarted it has forgotten deaths, and nothing else.
        ledger = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Ledger).remote()
        most = max(1, workers // _WORKERS_A_COMMITTER)
        committers = _Committers(ray, hands, most, gathering, check_alone)
        batches = _batches(tasks, max(MAX_BATCHES, _BATCHES_A_WORKER * workers))
        rows = [{"batch": n, "tasks": pickle.dumps(batch)} for n, batch in enumerate(batches)]
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _RayWorker,
            fn_constructor_args=(ledger, hands, recorded()),
            batch_size=1,
            num_cpus=1,
            num_gpus=fraction or None,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows))),
        )
        del rows
        for shard in gathering.whole():
            committers.start(shard)
        for row in results.iter_rows():
            # Made by our own worker, a moment ago.
            outcomes: list[Outcome] | Exception = pickle.loads(row["outcomes"])
            if isinstance(outcomes, Exception):
                raise outcomes
            for task, outcome in zip(batches[row["batch"]], outcomes, strict=True):
                failed = outcome.quarantined.values()
                reporter.made(len(outcome.made) + len(failed), list(failed))
                reporter.done(task, outcome)
                if (ready := gathering.add(task, outcome)) is not None:
                    committers.start(ready)
            yield from committers.finished()
            if committers.waiting > _BACKLOG * committers.most:
                ray.get(ledger.hold.remote(True))
                yield from committers.finished(down_to=committers.most)
                ray.get(ledger.hold.remote(False))
        yield from committers.finished(down_to=0)


def _batches(tasks: list[Task], most: int) -> list[list[Task]]:
    """The tasks in order in no more than so many lists."""
    size = -(-len(tasks) // most)
    return [tasks[start : start + size] for start in range(0, len(tasks), size)]


class _Committers:
    """Ray tasks that commit shards, so many at a time as `most` says."""

    def __init__(
        self,
        ray: Any,
        hands: Hands,
        most: int,
        gathering: Gathering,
        check_alone: Callable[[], None],
    ) -> None:
        self._ray = ray
        self._check_alone = check_alone
        self._gathering = gathering
        self.most = most
        self._hands = ray.put(hands)
        # Without a CPU of their own, since workers have them all; it is reading and writing. Over
        # all machines, since each brings its own network.
        self._commit = ray.remote(
            num_cpus=0, max_retries=_COMMITTER_RETRIES, scheduling_strategy="SPREAD"
        )(_commit)
        self._waiting: deque[WholeShard] = deque()
        self._at_work: dict[Any, WholeShard] = {}

    @property
    def waiting(self) -> int:
        """Shards that are not committed yet."""
        return len(self._waiting) + len(self._at_work)

    def start(self, shard: WholeShard) -> None:
        """Commit the shard as soon as one is free."""
        self._waiting.append(shard)
        self._fill()

    def finished(self, down_to: int | None = None) -> Iterator[Manifest]:
        """Manifests of what is committed by now, or once no more than `down_to` are waiting."""
        while self._at_work:
            wait = down_to is not None and self.waiting > down_to
            done, _ = self._ray.wait(
                list(self._at_work), timeout=None if wait else 0, fetch_local=True
            )
            if not done:
                return
            for reference in done:
                shard = self._at_work.pop(reference)
                manifest = self._ray.get(reference)
                self._fill()
                if manifest is None:
                    self._gathering.lost(shard.split, shard.index)
                else:
                    self._gathering.committed(shard.split, shard.index)
                    yield manifest

    def _fill(self) -> None:
        while self._waiting and len(self._at_work) < self.most:
            self._check_alone()
            shard = self._waiting.popleft()
            self._at_work[self._commit.remote(self._hands, shard)] = shard


def _commit(hands: Hands, shard: WholeShard) -> Manifest | None:
    settle()
    return hands.commit(shard)


def _fitting(workers: int, fraction: float, gpus: float) -> int:
    """Workers that the GPUs hold at once: Ray would wait for the others for ever."""
    if not fraction:
        return workers
    fitting = int(gpus) * int(1 / fraction) if fraction <= 1 else int(gpus / fraction)
    if not fitting:
        raise InputError(
            f"a worker asks for {fraction:g} GPUs, and Ray has {gpus:g}: use --device cpu, or "
            "smaller fractions (--mask-gpus, --pose-gpus, --depth-gpus)"
        )
    return min(workers, fitting)


def _quieten_ray_data(ray: Any) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray.data._internal"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # An actor that keeps Ray's figures forgets them with its process, and then fails every 5
    # seconds. Nothing here reads them.
    logging.getLogger("ray._private.worker").addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    return "_StatsActor" not in record.getMessage()


class _RayWorker:
    """A worker as Ray Data's actors want it: batches of rows in, batches of rows out."""

    def __init__(self, ledger: Any, hands: Hands, environment: dict[str, str]) -> None:
        settle()  # a cluster's machines have their own environment
        if others := list(differences(environment, recorded())):
            raise InputError(f"a worker on {socket.gethostname()} differs: {'; '.join(others)}")
        import cv2
        import ray

        cv2.setNumThreads(1)  # the workers divide the machine; results are the same
        self._ray, self._ledger = ray, ledger
        self._worker = hands.worker()

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        (batch,), (tasks,) = rows["batch"].tolist(), rows["tasks"]
        while (again := self._ray.get(self._ledger.begin.remote(batch))) is None:
            time.sleep(_PAUSE)  # until committers have caught up
        run = self._run_again if again else self._run
        outcomes: list[Outcome] | Exception
        try:
            outcomes = [run(batch, task) for task in pickle.loads(tasks)]
            self._worker.flush()
        except (InputError, ShardsError) as error:
            outcomes = error  # Ray would wrap it until its message is lost
        return {"batch": [batch], "outcomes": [pickle.dumps(outcomes)]}

    def _run(self, batch: int, task: Task) -> Outcome:
        return self._worker.run(task, Attempt())

    def _run_again(self, batch: int, task: Task) -> Outcome:
        def starting(key: str) -> None:
            # Waiting for the answer makes sure that it is known before the clip can kill us.
            self._ray.get(self._ledger.at.remote(batch, key))

        deadly = self._ray.get(self._ledger.deadly.remote())
        given_up = dict.fromkeys(deadly, _DEADLY)
        outcome = self._worker.run(task, Attempt(True, given_up, starting))
        self._ray.get(self._ledger.survived.remote(batch))
        return outcome


class _Ledger:
    """Which batches were begun before, and on which clips workers have died.

    A batch is told once that it begins, which thousands of workers can do. One that begins again
    has killed its worker: from then on each of its clips is told beforehand, and the first death
    counts as the second's, whose clip is known.
    """

    def __init__(self) -> None:
        self._begun: set[int] = set()
        self._unexplained: set[int] = set()
        self._at: dict[int, str] = {}
        self._deaths: Counter[str] = Counter()
        self._hold = False

    def hold(self, hold: bool) -> None:
        """Whether batches that begin are to wait."""
        self._hold = hold

    def begin(self, batch: int) -> bool | None:
        """Whether the batch was begun before; None while it must wait."""
        if self._hold:
            return None
        again = batch in self._begun
        self._begun.add(batch)
        if batch in self._at:
            self._deaths[self._at.pop(batch)] += 1 + (batch in self._unexplained)
            self._unexplained.discard(batch)
        elif again:
            self._unexplained.add(batch)
        return again

    def deadly(self) -> set[str]:
        """Keys that must not be tried again."""
        return {key for key, deaths in self._deaths.items() if deaths >= MAX_DEATHS}

    def at(self, batch: int, key: str) -> None:
        """The batch's worker begins with this clip, or survey."""
        self._at[batch] = key

    def survived(self, batch: int) -> None:
        """The batch's worker has come to the end of a task."""
        self._at.pop(batch, None)
