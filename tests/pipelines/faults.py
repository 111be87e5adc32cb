"""Faults at random moments: a build is disturbed, run again until it ends, and compared.

    python -m tests.pipelines.faults --count 30 --seed 1 --folder /tmp/faults

prints the reliability table: what was done, how often, how often the command had to be run again,
and what was lost. Every file's digest is compared with that of a build that nobody disturbed. Each
fault, its moment and the shape of its build are functions of the seed. A moment is a part of a
second after the start, or a share of the files that a build leaves, so a build is always struck
while it runs, however fast the machine is.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

__all__ = ["FAULTS", "Case", "Result", "disturb", "draw", "table"]

ROOT = Path(__file__).resolve().parents[2]
_RUNS = 12  # of a command that a fault has stopped
_PROGRAM = (
    "import signal, sys, tests.pipelines.faults_driver; from pipelines.cli import main; "
    "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
)
_LIMIT = 150.0  # seconds for one of them


@dataclass(frozen=True)
class Case:
    """One disturbed build: what is done to it, when, and what it is of.

    `after`  of the files that it will leave, the share that has been there, some only for a
             while, when it is struck; below 0, a second's part after its start.
    """

    fault: str
    seed: int
    workers: int
    after: float
    clips_per_shard: int
    clip_length: int


@dataclass
class Result:
    """`runs` of the command until it ended well; `lost` files differ, are missing, or too many."""

    case: Case
    runs: int = 0
    struck: int = 0
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)


def source(folder: Path) -> Path:
    """Three small videos, made once."""
    import av
    import numpy as np

    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    for number, frames in enumerate((40, 24, 32)):
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
        *("--clips-per-shard", str(case.clips_per_shard), "--workers", str(case.workers), *more),
    ]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


class Driver:
    """The command, running."""

    def __init__(self, arguments: list[str], **more: str) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            arguments,
            env=environment(**more),
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

    def family(self) -> dict[int, str]:
        """It and its descendants: command lines by process id."""
        parents, lines = {}, {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError, IndexError):
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                    parents[int(entry.name)] = int(stat[1])
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    lines[int(entry.name)] = line.decode(errors="replace")
        found = {self.process.pid}
        while more := {p for p, parent in parents.items() if parent in found} - found:
            found |= more
        return {pid: lines.get(pid, "") for pid in found if pid in parents}

    def end(self) -> None:
        """Kill what is left of it, so that the next run is alone."""
        with contextlib.suppress(ProcessLookupError):
            family = self.family()
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def said(self) -> str:
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")


def _kill(driver: Driver, which: Callable[[str], bool], draw: random.Random) -> int:
    def found() -> list[int]:
        me = driver.process.pid
        return sorted(p for p, line in driver.family().items() if p != me and which(line))

    while not (processes := found()):  # not yet begun
        if driver.wait(0.02) is not None:
            return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(draw.choice(processes), signal.SIGKILL)
    return 1


def _kill_driver(driver: Driver, draw: random.Random) -> int:
    driver.process.kill()
    return 1


def _stop_driver(driver: Driver, draw: random.Random) -> int:
    driver.process.send_signal(draw.choice([signal.SIGINT, signal.SIGTERM]))
    return 1


def _kill_worker(driver: Driver, draw: random.Random) -> int:
    names = ("pipelines.child", "ray::")
    return _kill(driver, lambda line: any(name in line for name in names), draw)


def _kill_raylet(driver: Driver, draw: random.Random) -> int:
    return _kill(driver, lambda line: "raylet/raylet" in line.split(" ")[0], draw)


def _kill_gcs(driver: Driver, draw: random.Random) -> int:
    return _kill(driver, lambda line: "gcs_server" in line.split(" ")[0], draw)


def _there_already(driver: Driver, draw: random.Random) -> int:
    """Of what its environment does to a build from its beginning."""
    return 1


_STRIKES: dict[str, Callable[[Driver, random.Random], int]] = {
    "driver killed": _kill_driver,
    "driver stopped": _stop_driver,
    "worker killed": _kill_worker,
    "raylet killed": _kill_raylet,
    "gcs killed": _kill_gcs,
}
FAULTS = (
    *_STRIKES,
    "disk full",
    "output read-only",
    "store fails",
    "clock jumps",
)
_NEED_RAY = ("raylet killed", "gcs killed")


def draw(seed: int, number: int, *, ray: bool = True) -> Case:
    """The case of a number: faults take turns, all else is drawn."""
    of = random.Random(f"{seed}/{number}")
    faults = FAULTS if ray else tuple(f for f in FAULTS if f not in _NEED_RAY)
    fault = faults[number % len(faults)]
    workers = 2 if fault in _NEED_RAY or (ray and of.random() < 0.3) else 0
    return Case(
        fault,
        of.randrange(1 << 30),
        workers,
        of.uniform(-0.3, 0.9),
        of.choice([1, 3, 7, 64]),
        of.choice([2, 4, 8]),
    )


def disturb(case: Case, folder: Path) -> Result:
    """Build it disturbed, then again until it ends, and compare with one that nobody disturbed."""
    began = time.monotonic()
    of = random.Random(case.seed)
    videos = source(folder / "source")
    calm = folder / f"calm-{case.clip_length}-{case.clips_per_shard}"
    if not (calm / "index.parquet").exists():
        whole = Driver(
            command(Case("", 0, 0, 0, case.clips_per_shard, case.clip_length), videos, str(calm))
        )
        assert whole.wait(_LIMIT) == 0, whole.said()
        whole.end()
    result = Result(case)
    out = folder / f"out-{case.seed}"
    with _place(case, out, of) as (place, strike, cure, more):
        while result.runs < _RUNS:
            result.runs += 1
            driver = Driver(
                command(case, videos, place),
                **(more if result.runs == 1 or case.fault == "clock jumps" else {}),
            )
            code = None
            try:
                if result.runs == 1:
                    there = strike is _there_already
                    code = None if there else _until(case.after, driver, out, len(digests(calm)))
                    if code is None:
                        result.struck += strike(driver, of)
                code = driver.wait(_LIMIT) if code is None else code
                said = driver.said()
            finally:
                driver.end()
            if code != 0 and "Traceback" in said and case.fault not in _STRIKES:
                raise AssertionError(said)
            if code == 0:
                break
            cure()
        result.lost = compare(calm, out)
    result.seconds = time.monotonic() - began
    return result


def _until(after: float, driver: Driver, out: Path, files: int) -> int | None:
    """Wait for a case's moment. The command's exit code; None while it runs."""
    if after < 0:
        return driver.wait(-after)
    seen: set[str] = set()
    end = time.monotonic() + _LIMIT
    while (code := driver.wait(0.005)) is None and time.monotonic() < end:
        seen.update(name for _, _, names in os.walk(out) for name in names)
        if len(seen) >= max(1, after * files):
            return None
    return code


def compare(calm: Path, out: Path) -> list[str]:
    """Files that are not the same in both."""
    trees = [digests(calm), digests(out)]
    return sorted(
        name
        for name in trees[0].keys() | trees[1].keys()
        if trees[0].get(name) != trees[1].get(name)
    )


def digests(root: Path) -> dict[str, str]:
    """Every file below a folder, by its SHA-256."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


_Place = tuple[str, Callable[[Driver, random.Random], int], Callable[[], None], dict[str, str]]


@contextlib.contextmanager
def _place(case: Case, out: Path, of: random.Random) -> Iterator[_Place]:
    """Where the build writes, what strikes it, what mends that, and the environment of its first
    run (of each, where the clock jumps)."""

    def nothing() -> None:
        return

    if case.fault in _STRIKES:
        yield str(out), _STRIKES[case.fault], nothing, {}
    elif case.fault == "clock jumps":
        yield str(out), _there_already, nothing, {"IDOL_FAULT_CLOCK": str(case.seed)}
    elif case.fault == "store fails":
        yield (
            f"flaky://{out}",
            _there_already,
            nothing,
            {"IDOL_FAULT_STORE": f"{case.seed}:{of.choice([0.02, 0.1])}"},
        )
    elif case.fault == "disk full":
        yield (
            str(out),
            _there_already,
            nothing,
            {"IDOL_FAULT_DISK": str(of.choice([6, 30, 120]) * 1000)},
        )
    else:
        yield from _read_only(out)


def _read_only(out: Path) -> Iterator[_Place]:
    """A file system of its own, which is made read-only while the build runs."""
    out.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(out)], check=True)

    def remount(how: str) -> None:
        for _ in range(100):  # refused while a file is open for writing
            done = subprocess.run(
                ["mount", "-o", f"remount,{how}", str(out)], capture_output=True, check=False
            )
            if done.returncode == 0:
                return
            time.sleep(0.01)

    def strike(driver: Driver, draw: random.Random) -> int:
        remount("ro")
        return 1

    try:
        yield str(out), strike, lambda: remount("rw"), {}
    finally:
        subprocess.run(["umount", "-l", str(out)], check=False)


def can_mount() -> bool:
    """Whether this user may mount, which the read-only fault needs."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return mounted.returncode == 0


def table(results: list[Result]) -> str:
    """The reliability table, in Markdown."""
    rows = [
        "| fault | builds | struck | runs of the command | files lost or changed |",
        "|---|---|---|---|---|",
    ]
    for fault in dict.fromkeys(result.case.fault for result in results):
        of = [result for result in results if result.case.fault == fault]
        struck, runs, lost = (
            sum(result.struck for result in of),
            sum(result.runs for result in of),
            sum(len(result.lost) for result in of),
        )
        rows.append(f"| {fault} | {len(of)} | {struck} | {runs} | {lost} |")
    totals = Counter(
        struck=sum(r.struck for r in results),
        runs=sum(r.runs for r in results),
        lost=sum(len(r.lost) for r in results),
    )
    rows.append(
        f"| all | {len(results)} | {totals['struck']} | {totals['runs']} | {totals['lost']} |"
    )
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--no-ray", action="store_true")
    given = parser.parse_args()
    results = []
    for number in range(given.count):
        case = draw(given.seed, number, ray=not given.no_ray)
        if case.fault == "output read-only" and not can_mount():
            print(f"skipped: {case.fault} needs the right to mount", flush=True)
            continue
        result = disturb(case, given.folder)
        results.append(result)
        print(
            f"{result.case}: {result.runs} runs, lost {result.lost}, {result.seconds:.0f} s",
            flush=True,
        )
    print(table(results))
    return any(result.lost for result in results)


if __name__ == "__main__":
    sys.exit(main())
