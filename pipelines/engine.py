"""Running tasks: in this process, or on Ray Data with workers in an actor pool.

Results come in any order and say which task they belong to: what goes where is the plan's
business. Ray restarts a worker that dies and runs its task again; `_Ledger` remembers which clip
it died on, so that a clip that kills every worker is given up instead of killing them for ever.
"""

import os
import pickle
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipelines.compute import Compute, Stopwatch, ray_saves_time
from pipelines.plan import Plan, Task
from pipelines.reporter import Reporter
from pipelines.worker import Made, Setup, TaskResult, Worker
from preprocess.errors import InputError
from shards.environment import differences, limit_threads, recorded, settle
from shards.manifest import Quarantined
from shards.sample.codec import Members

__all__ = ["MAX_DEATHS", "run"]

MAX_DEATHS = 3
_DEADLY = f"killed its worker {MAX_DEATHS} times (out of memory, or a crash)"
# Ray keeps a record of every block: large plans put several tasks into one.
MAX_BLOCKS = 4096
OBJECT_STORE_BYTES = 1 << 30


Keep = Callable[[Task, Sequence[tuple[str, Members]]], None]
"""Takes clips of a task as they are made."""


def run(
    tasks: list[Task],
    plan: Plan,
    setup: Setup,
    compute: Compute,
    reporter: Reporter,
    keep: Keep = lambda task, samples: None,
) -> Iterator[TaskResult]:
    """Run the tasks on as many workers as `compute` says: Ray actors, or this process for none.

    Where it says nothing, this process begins, and Ray takes over if what is left would take
    longer than starting Ray saves. Ray is started and stopped here unless it was running. Each
    clip is given to `keep` before its task's result is yielded. Raises InputError when Ray cannot
    be reached, has too few GPUs, or when a worker cannot start.
    """
    workers = compute.count_workers(
        plan.recipe, setup.hardware, rendered=plan.recipe.dataset == "people"
    )
    undecided = compute.may_stay_here(plan.recipe, setup.hardware)
    if not workers or undecided:
        reporter.working_here(ray_later=undecided and workers > 1)
        finished = 0
        for result in _run_here(tasks, plan, setup, reporter, keep, workers if undecided else 0):
            finished += 1
            yield result
        tasks = tasks[finished:]
        if not tasks:
            return
    for result in _run_on_ray(tasks, plan, setup, compute, workers, reporter):
        keep(result.task, result.samples)
        made: tuple[Made, ...] = (*result.samples, *result.quarantined)
        for clip in made:
            reporter.made(clip)
        yield result


def _run_here(
    tasks: list[Task], plan: Plan, setup: Setup, reporter: Reporter, keep: Keep, workers: int
) -> Iterator[TaskResult]:
    """Run tasks in this process: all, or as long as `workers` of Ray would not end sooner."""
    watch = Stopwatch()
    if not workers:  # Ray's workers would have as many threads each
        limit_threads()
    worker = Worker(plan, setup)
    made, left = 0, sum(len(task.first_frames) for task in tasks)
    for task in tasks:

        def each(clip: Made, task: Task = task) -> None:
            if not isinstance(clip, Quarantined):
                keep(task, [clip])
            reporter.made(clip)

        yield worker.run(task, made=each)
        made, left = made + len(task.first_frames), left - len(task.first_frames)
        if ray_saves_time(watch.seconds / made * left, workers, watch.stretch):
            return


def _run_on_ray(
    tasks: list[Task],
    plan: Plan,
    setup: Setup,
    compute: Compute,
    workers: int,
    reporter: Reporter,
) -> Iterator[TaskResult]:
    fraction = compute.gpus_per_worker(plan.recipe, setup.hardware)
    # Ray's own processes write warnings about its internals over the progress bar.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    reporter.starting_ray(workers, compute.address)
    import ray

    started = not ray.is_initialized()
    if started:
        _start_ray(ray, workers, compute.address)
    try:
        _quieten_ray_data(ray)
        workers = _fitting(workers, fraction, float(ray.cluster_resources().get("GPU", 0)))
        # The plan travels through an actor, so that a restarted worker still finds it.
        ledger = ray.remote(num_cpus=0)(_Ledger).remote((tasks, plan))
        rows = [{"task": number} for number in range(len(tasks))]
        blocks = min(len(rows), MAX_BLOCKS)
        results = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
            _RayWorker,
            fn_constructor_args=(ledger, setup, recorded()),
            batch_size=1,
            num_cpus=1,
            num_gpus=fraction or None,
            compute=ray.data.ActorPoolStrategy(size=min(workers, blocks)),
        )
        for row in results.iter_rows():
            yield pickle.loads(row["result"])  # made by our own worker, a moment ago
    except ray.exceptions.RayError as error:
        raise InputError(f"a Ray worker failed: {_cause(error)}") from error
    finally:
        if started:
            # While it shuts down Ray logs messages about infinite retries.
            with _no_stderr():
                ray.shutdown()


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


def _start_ray(ray: Any, workers: int, address: str | None) -> None:
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address:
        _check_reachable(address)
        options["address"] = address
    else:
        # Not the cluster that a left-over RAY_ADDRESS names.
        options |= {
            "address": "local",
            "num_cpus": workers,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        with _no_stderr():
            ray.init(**options)
        # Ray would rather exit on the spot; we end in order, as on Ctrl-C.
        signal.signal(signal.SIGTERM, on_terminate)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        where = f"at {address}" if address else "on this machine"
        raise InputError(
            f"Ray could not be started {where}: {error}. `--workers 0` needs no Ray."
        ) from error


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes to reach a head node that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # "auto" and "local", which Ray answers at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise InputError(
            f"no Ray cluster answers at {address} ({error}). Start one with `ray start --head`, "
            "or leave --address out to work on this machine."
        ) from error


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Ray's compiled core announces its log level past Python's sys.stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _quieten_ray_data(ray: Any) -> None:
    import logging

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray.data._internal"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _cause(error: BaseException) -> str:
    inner: BaseException = error
    while (deeper := getattr(inner, "cause", None) or inner.__cause__) is not None:
        inner = deeper
    return str(inner).strip().splitlines()[-1] if str(inner).strip() else repr(inner)


class _RayWorker:
    """A `Worker` as Ray Data's actors want it: batches of rows in, batches of rows out."""

    def __init__(self, ledger: Any, setup: Setup, environment: dict[str, str]) -> None:
        settle()  # a cluster's machines have their own environment
        if others := list(differences(environment, recorded())):
            raise InputError(f"a worker on {socket.gethostname()} differs: {'; '.join(others)}")
        import cv2
        import ray

        cv2.setNumThreads(1)  # the workers divide the machine; results are the same
        self._ray, self._ledger = ray, ledger
        self._tasks, plan = ray.get(ledger.get_work.remote())
        self._worker = Worker(plan, setup)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"result": [pickle.dumps(self._run(n)) for n in batch["task"].tolist()]}

    def _run(self, number: int) -> TaskResult:
        def starting(key: str) -> None:
            # Waiting for the answer makes sure that it is known before the clip can kill us.
            self._ray.get(self._ledger.at.remote(number, key))

        deadly = self._ray.get(self._ledger.begin.remote(number))
        result = self._worker.run(
            self._tasks[number], given_up=dict.fromkeys(deadly, _DEADLY), starting=starting
        )
        self._ray.get(self._ledger.end.remote(number))
        return result


class _Ledger:
    """The work, and which clip each task is at: a task that begins again died on that clip."""

    def __init__(self, work: tuple[list[Task], Plan]) -> None:
        self._work = work
        self._at: dict[int, str] = {}
        self._deaths: Counter[str] = Counter()

    def get_work(self) -> tuple[list[Task], Plan]:
        return self._work

    def begin(self, task: int) -> set[str]:
        """Keys that must not be tried again."""
        if task in self._at:
            self._deaths[self._at.pop(task)] += 1
        return {key for key, deaths in self._deaths.items() if deaths >= MAX_DEATHS}

    def at(self, task: int, key: str) -> None:
        self._at[task] = key

    def end(self, task: int) -> None:
        self._at.pop(task, None)
