"""Faults at random moments: a build is disturbed, run again until it ends, and compared.

    python -m tests.pipelines.faults --count 34 --seed 1 --folder /tmp/faults

prints the reliability table: what was done, how often, how often the command had to be run again,
and what was lost. Every file's digest is compared with that of a build that nobody disturbed. Each
fault, its moment and the shape of its build are functions of the seed. A moment is a part of a
second after the plan is shown, or a share of the files that a build leaves, so a build is always
struck while it runs, however fast the machine is.

Builds run in one process, on a Ray of their own, or join a cluster of two nodes that all of them
share, which is the cheapest way to Ray where a fault does not end it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tests.pipelines.conftest import tree

__all__ = [
    "IMPATIENT",
    "KINDS",
    "Case",
    "Machines",
    "Result",
    "disturb",
    "draw",
    "strike_all",
    "table",
]

ROOT = Path(__file__).resolve().parents[2]
# Of Ray: a node that does not answer is given up after so many times so many milliseconds.
IMPATIENT = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
_SURROUNDINGS = Path(__file__).parent / "surroundings"
_RUNS = 12  # of a command that a fault has stopped
_PROGRAM = (
    "import signal, sys; from pipelines.cli import main; "
    "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
)
_LIMIT = 300.0  # seconds after which a run is taken for one that never ends

Where = Literal["here", "ray", "cluster"]


@dataclass(frozen=True)
class Case:
    """One disturbed build: what is done to it, where it runs, when, and what it is of.

    `after`  of the files that it will leave, the share that has been there, some only for a
             while, when it is struck; below 0, a second's part after its first word.
    """

    fault: str
    where: Where
    seed: int
    after: float
    clips_per_shard: int
    clip_length: int


@dataclass
class Result:
    """`runs` of the command until it ended well; `lost` files differ, are missing, or too many.

    `said` are the last lines of those that did not end well.
    """

    case: Case
    runs: int = 0
    struck: int = 0
    seconds: float = 0.0
    files: int = 0
    lost: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def source(folder: Path) -> Path:
    """Three small videos, made once."""
    import av
    import numpy as np

    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    for number, frames in enumerate((20, 12, 16)):
        with av.open(str(folder / f"v{number}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width = stream.height = 96
            stream.options = {"threads": "1"}
            stream.codec_context.time_base = Fraction(1, 30)
            for index in range(frames):
                image = np.full((96, 96, 3), 40 * number + index, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return folder


def command(case: Case, source: Path, out: str, *more: str) -> list[str]:
    """The build's command, with annotators of none."""
    bare = ("--mask", "none", "--pose", "none", "--depth", "none", "--crop", "center")
    return [
        *(sys.executable, "-c", _PROGRAM, "build", "--dataset", "videos"),
        *("--source", str(source), "--out", out, *bare, "--size", "64", "--shots", "off"),
        *("--clip-length", str(case.clip_length), "--stride", "1"),
        *("--clips-per-shard", str(case.clips_per_shard), *more),
    ]


class Machines:
    """A cluster of two nodes with a CPU each, started for the first build that joins it."""

    def __init__(self) -> None:
        self._node: Any = None

    @cached_property
    def _cluster(self) -> Any:
        from ray.cluster_utils import Cluster

        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": IMPATIENT}
        )
        self._node = cluster.add_node(num_cpus=1)
        return cluster

    def options(self, where: Where) -> tuple[str, ...]:
        """Of a command that runs there."""
        if where == "here":
            return ("--workers", "0")
        joined = ("--address", self._cluster.address) if where == "cluster" else ()
        return ("--workers", "2", *joined)

    def processes(self) -> dict[int, str]:
        """Those of all nodes: command lines by process id."""
        nodes = self._cluster.list_all_nodes() if "_cluster" in self.__dict__ else []
        roots = [
            info.process.pid
            for node in nodes
            for infos in node.all_processes.values()
            for info in infos
        ]
        return {pid: line for root in roots for pid, line in family(root).items()}

    def kill_a_node(self) -> None:
        """One without the driver; another comes in its place."""
        self._cluster.remove_node(self._node, allow_graceful=False)
        self._node = self._cluster.add_node(num_cpus=1)

    def stop(self) -> None:
        if "_cluster" in self.__dict__:
            self._cluster.shutdown()


class Driver:
    """The command, running."""

    def __init__(self, arguments: list[str], **more: str) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        python = os.pathsep.join(map(str, (ROOT, _SURROUNDINGS)))
        self.process = subprocess.Popen(
            arguments,
            env={**os.environ, "PYTHONPATH": python, "OMP_NUM_THREADS": "1", **more},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=ROOT,
        )

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None while it runs."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """Kill what is left of it, so that the next run is alone."""
        with contextlib.suppress(ProcessLookupError):
            for pid in family(self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def said(self) -> str:
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")


def family(root: int) -> dict[int, str]:
    """A process and its descendants: command lines by process id."""
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(stat[1])
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                lines[int(entry.name)] = line.decode(errors="replace")
    found = {root}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: lines.get(pid, "") for pid in found if pid in parents}


def _kill(driver: Driver, of: random.Random, machines: Machines, *names: str) -> int:
    """Kill a process of this name, as soon as there is one."""

    def found() -> list[int]:
        there = {**family(driver.process.pid), **machines.processes()}
        there.pop(driver.process.pid, None)
        return sorted(p for p, line in there.items() if any(name in line for name in names))

    while not (processes := found()):
        if driver.wait(0.02) is not None:
            return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(of.choice(processes), signal.SIGKILL)
    return 1


def _kill_driver(driver: Driver, of: random.Random, machines: Machines) -> int:
    driver.process.kill()
    return 1


def _stop_driver(driver: Driver, of: random.Random, machines: Machines) -> int:
    driver.process.send_signal(of.choice([signal.SIGINT, signal.SIGTERM]))
    return 1


def _kill_worker(driver: Driver, of: random.Random, machines: Machines) -> int:
    """The one that makes clips, what watches it, a committer, or who remembers deaths."""
    names = ("pipelines.child", "ray::MapWorker", "ray::_commit", "ray::_Ledger")
    return _kill(driver, of, machines, *names)


def _kill_raylet(driver: Driver, of: random.Random, machines: Machines) -> int:
    return _kill(driver, of, machines, "raylet/raylet ")


def _kill_gcs(driver: Driver, of: random.Random, machines: Machines) -> int:
    return _kill(driver, of, machines, "gcs/gcs_server ")


def _kill_node(driver: Driver, of: random.Random, machines: Machines) -> int:
    machines.kill_a_node()
    return 1


def _there_already(driver: Driver, of: random.Random, machines: Machines) -> int:
    """Of what its environment does to a build from its beginning."""
    return 1


_Strike = Callable[[Driver, random.Random, Machines], int]
_STRIKES: dict[str, _Strike] = {
    "driver killed": _kill_driver,
    "driver stopped": _stop_driver,
    "worker killed": _kill_worker,
    "raylet killed": _kill_raylet,
    "gcs killed": _kill_gcs,
    "node killed": _kill_node,
}
_WHERE: dict[str, tuple[Where, ...]] = {
    "driver killed": ("here", "cluster"),
    "driver stopped": ("here", "cluster"),
    "worker killed": ("here", "cluster"),
    "raylet killed": ("ray",),
    "gcs killed": ("ray",),
    "node killed": ("cluster",),
    "disk full": ("here", "cluster"),
    "output read-only": ("here", "cluster"),
    "store fails": ("here", "ray"),
    "clock jumps": ("here", "ray"),
}
_MOUNTED = ("disk full", "output read-only")
KINDS = tuple((fault, where) for fault, places in _WHERE.items() for where in places)


def draw(seed: int, number: int, kinds: tuple[tuple[str, Where], ...] = KINDS) -> Case:
    """The case of a number: kinds take turns, all else is drawn."""
    of = random.Random(f"{seed}/{number}")
    fault, where = kinds[number % len(kinds)]
    # A full cluster starts a process for each shard that is committed: few of them.
    shapes = [(3, 4), (7, 2), (64, 8), *([(1, 2)] if where == "here" else [])]
    return Case(fault, where, of.randrange(1 << 30), of.uniform(-0.3, 0.9), *of.choice(shapes))


def disturb(case: Case, folder: Path, machines: Machines) -> Result:
    """Build it disturbed, then again until it ends, and compare with one that nobody disturbed."""
    began = time.monotonic()
    of = random.Random(case.seed)
    videos = source(folder / "source")
    calm = folder / f"calm-{case.clip_length}-{case.clips_per_shard}"
    if not (calm / "index.parquet").exists():
        whole = Driver(command(case, videos, str(calm), *machines.options("here")))
        assert whole.wait(_LIMIT) == 0, whole.said()
        whole.end()
    wanted = tree(calm)
    result = Result(case, files=len(wanted))
    where: Where = case.where
    reached = machines if where == "cluster" else Machines()
    with _place(case, folder / f"out-{case.seed}", of) as (out, url, strike, cure, more):
        while result.runs < _RUNS:
            result.runs += 1
            driver = Driver(command(case, videos, url, *machines.options(where)), **more)
            code = None
            try:
                if not result.struck:
                    at_once = strike is _there_already
                    code = None if at_once else _until(case.after, driver, out, len(wanted))
                    if code is None:
                        result.struck += strike(driver, of, reached)
                code = driver.wait(_LIMIT) if code is None else code
                said = driver.said()
            finally:
                driver.end()
            assert code is not None, f"{case} did not end:\n{said}"
            assert "Traceback" not in said, f"{case}:\n{said}"
            if code == 0:
                break
            result.said.append(f"{code}: {said.strip().splitlines()[-1] if said.strip() else ''}")
            cure()
            # What was begun anywhere may be ended anywhere.
            if result.struck:
                there = (case.where, "here", "here") if case.where == "cluster" else ("here",)
                where = of.choice(there)
        found = tree(out)
    result.lost = sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )
    result.seconds = time.monotonic() - began
    return result


def _until(after: float, driver: Driver, out: Path, files: int) -> int | None:
    """Wait for a case's moment. The command's exit code; None while it runs."""
    seen: set[str] = set()
    end = time.monotonic() + _LIMIT
    if after < 0:
        while not driver.said() and driver.wait(0.005) is None and time.monotonic() < end:
            pass
        return driver.wait(-after)
    while (code := driver.wait(0.005)) is None and time.monotonic() < end:
        seen.update(name for _, _, names in os.walk(out) for name in names)
        if len(seen) >= max(1, after * files):
            return None
    return code


_Place = tuple[Path, str, _Strike, Callable[[], None], dict[str, str]]


@contextlib.contextmanager
def _place(case: Case, out: Path, of: random.Random) -> Iterator[_Place]:
    """The folder that the build writes, its name for the command, what strikes it, what mends
    that, and the environment of its runs."""

    def nothing() -> None:
        return

    if case.fault in _MOUNTED:
        with _file_system(out) as mounted:
            into = mounted.out
            if case.fault == "disk full":
                yield into, str(into), mounted.fill, mounted.empty, {}
            else:
                yield into, str(into), mounted.forbid, mounted.allow, {}
    elif case.fault == "clock jumps":
        yield out, str(out), _there_already, nothing, {"IDOL_FAULT_CLOCK": str(case.seed)}
    elif case.fault == "store fails":
        share = {"IDOL_FAULT_STORE": f"{case.seed}:{of.choice([0.02, 0.1])}"}

        def mend() -> None:
            share["IDOL_FAULT_STORE"] = "0:0"

        yield out, f"flaky://{out}", _there_already, mend, share
    else:
        yield out, str(out), _STRIKES[case.fault], nothing, {}


class _FileSystem:
    """One of its own, which others fill, or make read-only, while a build writes to it."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self._filler = folder / "filler"
        self._forbidden = False

    def fill(self, driver: Driver, of: random.Random, machines: Machines) -> int:
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        return 1

    def empty(self) -> None:
        self._filler.unlink(missing_ok=True)

    def forbid(self, driver: Driver, of: random.Random, machines: Machines) -> int:
        """Mount the output over itself, to be read: a file system with open files would refuse."""
        self.out.mkdir(exist_ok=True)
        _mount("--bind", str(self.out), str(self.out))
        _mount("-o", "remount,bind,ro", str(self.out))
        self._forbidden = True
        return 1

    def allow(self) -> None:
        if self._forbidden:
            subprocess.run(["umount", "-l", str(self.out)], check=True)
            self._forbidden = False


def _mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True)


@contextlib.contextmanager
def _file_system(folder: Path) -> Iterator[_FileSystem]:
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder))
    mounted = _FileSystem(folder)
    try:
        yield mounted
    finally:
        mounted.allow()
        subprocess.run(["umount", "-l", str(folder)], check=False)


def can_mount() -> bool:
    """Whether this user may mount, which full disks and read-only ones need."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return mounted.returncode == 0


def _tell(line: str) -> None:
    print(line, flush=True)


def strike_all(
    count: int,
    seed: int,
    folder: Path,
    tell: Callable[[str], object] = _tell,
    kinds: tuple[tuple[str, Where], ...] = KINDS,
) -> list[Result]:
    """Cases 0 to `count` - 1, each told when it has ended. Kinds that this user cannot try are
    told too."""
    if not can_mount():
        kinds = tuple(kind for kind in kinds if kind[0] not in _MOUNTED)
        tell(f"not tried, for want of the right to mount: {', '.join(_MOUNTED)}")
    results = []
    machines = Machines()
    try:
        for number in range(count):
            result = disturb(draw(seed, number, kinds), folder, machines)
            results.append(result)
            tell(f"{result.case}: {result.runs} runs, lost {result.lost}, {result.seconds:.0f} s")
            for line in result.said:
                tell(f"    exit code {line}")
    finally:
        machines.stop()
    return results


def table(results: list[Result]) -> str:
    """The reliability table, in Markdown."""
    rows = [
        "| fault | builds | on Ray | struck | runs of the command | files compared | lost |",
        "|---|---|---|---|---|---|---|",
    ]
    groups = {
        fault: [result for result in results if result.case.fault == fault]
        for fault in dict.fromkeys(result.case.fault for result in results)
    }
    for name, of in {**groups, "all": results}.items():
        numbers = (
            len(of),
            sum(result.case.where != "here" for result in of),
            sum(result.struck for result in of),
            sum(result.runs for result in of),
            sum(result.files for result in of),
            sum(len(result.lost) for result in of),
        )
        rows.append(f"| {name} | {' | '.join(map(str, numbers))} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2 * len(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--where", choices=["here", "ray", "cluster"], help="builds there alone")
    given = parser.parse_args()
    kinds = tuple(kind for kind in KINDS if given.where in (None, kind[1]))
    results = strike_all(given.count, given.seed, given.folder, kinds=kinds)
    print(table(results))
    return any(result.lost for result in results)


if __name__ == "__main__":
    sys.exit(main())
