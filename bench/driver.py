"""What the process that runs a build costs, and how far it goes: `bench/driver.py PART`.

    plan      seconds and memory of planning 1,000,000 clips: of videos, and of single images
    rate      clips a second through one driver with workers and committers that take no time and
              return outcomes and manifests of real size; memory of driver, ledger and planner
    cost      CPU of the driver for each clip of a real build on Ray, here and at --before COMMIT
    listing   files a second that are listed, probed and planned, by the number of processes (one:
              in threads of this one); and requests a file where they lie in an object store (moto's
              server on the loopback)
    requests  requests a shard of a build on Ray whose output lies there

Seconds are of the processor where they can be, so that what else the machine does counts little.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_s3 import local_s3

ROOT = Path(__file__).parents[1]
CLIPS = 1_000_000
FRAMES = 8
CLIP_BYTES = 560_000  # of a clip of 8 frames with masks, poses and depth at 256 px
SETTINGS = {"mask": "none", "pose": "none", "depth": ("none",), "crop": "center", "shots": "off"}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--clips", type=int, default=CLIPS, help="planned clips (plan, rate)")
    parser.add_argument("--workers", type=int, default=2, help="workers (rate)")
    parser.add_argument("--batches", type=int, help="that the engine makes of a plan (rate)")
    parser.add_argument("--images", action="store_true", help="of single images (plan, rate)")
    parser.add_argument("--before", default="", help="a commit to compare with (cost)")
    parser.add_argument("--files", type=int, default=400, help="video files (listing)")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2], help="(listing)")
    given = parser.parse_args()
    for name, value in PARTS[given.part](given).items():
        print(f"{name:>44}  {value}")
    return 0


def peak() -> float:
    """Most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def clocked(into: dict[str, Any], name: str) -> Iterator[None]:
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    into[name] = f"{cpu:.1f} s of CPU, {wall:.1f} s, {peak():.0f} MB"


def synthetic(clips: int, *, images: bool) -> tuple[Any, Any]:
    """A recipe, and a listing of that many clips: ten a video, or one an image."""
    from pipelines.recipe import Recipe
    from preprocess.frames import ImageFile
    from preprocess.sources.values import Listing, Video

    def video(number: int) -> Video:
        folder, name = f"{number // 1000:05d}", f"{number:08d}"
        if images:
            image = ImageFile(sys.intern(f"/data/{folder}"), f"{name}.jpg", 12345)
            return Video(identity := f"{folder}/{name}", 1, 1.0, image, identity)
        # Never read: a reader that, unlike a video file's, is not asked for its frames' times.
        file = ImageFile(sys.intern(f"/data/{folder}"), f"{name}.mp4", 12345)
        return Video(identity := f"{folder}/{name}", 10 * FRAMES, 30.0, file, identity)

    recipe = Recipe("images" if images else "videos", **SETTINGS)  # type: ignore[arg-type]
    if not images:
        recipe = Recipe("videos", **SETTINGS, clip_length=FRAMES)  # type: ignore[arg-type]
    return recipe, Listing(tuple(map(video, range(clips if images else clips // 10))))


def plan(given: argparse.Namespace) -> dict[str, Any]:
    from pipelines.plan import make_plan

    found: dict[str, Any] = {"memory before": f"{peak():.0f} MB"}
    with clocked(found, "a listing is made up"):
        recipe, listing = synthetic(given.clips, images=given.images)
    with clocked(found, "make_plan"):
        made = make_plan(recipe, Path("/data"), listing)
    with clocked(found, "digest of the source"):
        made.source_summary()
    with clocked(found, "tasks"):
        tasks = made.tasks(made.shards)
    return {"clips, shards, tasks": f"{made.clips}, {len(made.shards)}, {len(tasks)}", **found}


class Instant:
    """A worker whose clips are made the moment they are asked for, and lie nowhere."""

    def run(self, task: Any, attempt: Any) -> Any:
        from pipelines.worker import Outcome

        return Outcome(task.places, {}, 0.1, 0.1)

    def flush(self) -> None:
        pass


class InstantHands:
    """Hands that touch no byte; a committer gives a manifest as large as a real one."""

    def worker(self) -> Instant:
        return Instant()

    def commit(self, shard: Any) -> Any:
        from shards.manifest import Manifest, Sample

        sizes = dict.fromkeys(
            ("json", "rgb", "mask", "pose", "keypoints", "depth_person", "depth_frame")
            + ("reference", "reference_mask", "background", "background_mask"),
            CLIP_BYTES // 11,
        )
        samples = tuple(
            Sample(key, place * CLIP_BYTES, CLIP_BYTES, dict(sizes), FRAMES, key, 0, 30.0)
            for place, key in enumerate(shard.keys)
        )
        length = CLIP_BYTES * len(samples)
        return Manifest(shard.split, shard.index, length, "0" * 64, samples, (), "0" * 64)


def rate(given: argparse.Namespace) -> dict[str, Any]:
    import ray

    import pipelines.engine
    from pipelines.compute import Compute
    from pipelines.engine import run
    from pipelines.gather import Gathering
    from pipelines.plan import make_plan
    from pipelines.reporter import Reporter
    from preprocess.annotators.spec import Hardware
    from shards.files.storage import Store
    from shards.waiting import WaitingClips

    found: dict[str, Any] = {}
    stamps: list[tuple[float, int]] = []
    if given.batches:
        pipelines.engine.MAX_BATCHES = given.batches

    class Clock(Reporter):
        def made(self, clips: int, quarantined: Any) -> None:
            if not stamps:
                watched.begin()
            stamps.append((time.perf_counter(), clips))

    watched = Watched()
    ray.init(
        address="local",  # whatever else of Ray runs here
        num_cpus=given.workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=1 << 30,
    )
    with clocked(found, "planning"):
        recipe, listing = synthetic(given.clips, images=given.images)
        made = make_plan(recipe, Path("/data"), listing)
    with tempfile.TemporaryDirectory() as out, clocked(found, "driver, all of it"):
        gathering = Gathering(made, made.shards, WaitingClips(Store.at(out), "0" * 64))
        compute = Compute(workers=given.workers)
        cpu = time.process_time()
        shards = manifests = 0
        ledger = 0.0
        for manifest in run(gathering, InstantHands(), recipe, Hardware(), compute, Clock()):
            shards, manifests = shards + 1, manifests + len(manifest.samples)
            if shards % 200 == 0:
                watched.look()
                ledger = max(ledger, memory_of("ray::_Ledger", watched.ours))
        cpu = time.process_time() - cpu
        watched.look()
    seconds = stamps[-1][0] - stamps[0][0]
    after_first = sum(clips for _, clips in stamps[1:])
    frames = 1 if given.images else FRAMES
    seconds_of, each = watched.seconds(), 1e6 / after_first
    ray.shutdown()
    return {
        "clips, shards": f"{manifests}, {shards}",
        **found,
        "clips a second, first outcome to last": f"{after_first / seconds:.0f}",
        "frames a second": f"{after_first * frames / seconds:.0f}",
        "CPU of the driver": f"{cpu / given.clips * 1e6:.0f} us a clip",
        "memory of the ledger": f"{ledger:.0f} MB",
        "CPU, all processes": f"{(together := sum(seconds_of.values())) * each:.0f} us a clip",
        "frames a second that two cores would do": f"{2 / (together / after_first) * frames:.0f}",
        **{
            f"CPU, {name}": f"{used * each:.0f} us a clip"
            for name, used in seconds_of.items()
            if used * each >= 1
        },
    }


class Watched:
    """CPU seconds of this process's threads and of all processes that it has started, from
    `begin` on: what starting them takes, which is seconds each, is none of it."""

    def __init__(self) -> None:
        self.ours: set[int] = set()
        self._before: dict[tuple[str, int], float] = {}
        self._now: dict[tuple[str, int], tuple[str, float]] = {}

    def begin(self) -> None:
        self.look()
        self._before = {which: seconds for which, (_, seconds) in self._now.items()}

    def look(self) -> None:
        parents: dict[int, int] = {}
        seen: dict[int, tuple[str, float]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name = (folder / "cmdline").read_bytes().split(b"\0")[0].decode()
                parent, seconds = _times(folder)
            except OSError:
                continue
            parents[int(folder.name)], seen[int(folder.name)] = parent, (name, seconds)
        ours = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
            ours |= more
        self.ours = ours
        for pid in ours - {os.getpid()}:
            name, seconds = seen[pid]
            if name == "ray::IDLE" and ("process", pid) in self._now:
                name = self._now["process", pid][0]  # Ray names them by what they do now
            self._now["process", pid] = (Path(name).name, seconds)
        for thread in Path("/proc/self/task").glob("*"):
            name = f"driver, thread {(thread / 'comm').read_text().strip()}"
            self._now["thread", int(thread.name)] = (name, _times(thread)[1])

    def seconds(self) -> dict[str, float]:
        """By what it is, the most first."""
        found: Counter[str] = Counter()
        for which, (name, seconds) in self._now.items():
            found[name] += seconds - self._before.get(which, 0)
        return dict(found.most_common())


def _times(folder: Path) -> tuple[int, float]:
    """Parent, and CPU seconds, of a process or a thread."""
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(title: str, among: Iterable[int]) -> float:
    """MB that those of the processes hold which have this title."""
    pages = 0
    for pid in among:
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(title.encode()):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * resource.getpagesize() / 2**20


# A build of noise: what is written is as large as a real dataset, and costs its workers little.
NOISE = """
from dataclasses import dataclass
import numpy as np
from preprocess.frames import Frame

@dataclass(frozen=True)
class Noise:
    number: int

    def read(self, indices):
        picture = np.random.default_rng(self.number).integers(0, 255, (256, 256, 3), np.uint8)
        for index in indices:
            yield Frame(index, picture, index / 30)

    def fingerprint(self):
        return str(self.number)
"""
COST = """
import json, sys, time
from pathlib import Path
from noise import Noise
from pipelines.build import build
from pipelines.compute import Compute
from pipelines.plan import make_plan
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from preprocess.sources.values import Listing, Video

class Clock(Reporter):
    first = None

    def committed(self, manifest):
        self.first = self.first or (time.process_time(), len(manifest.keys))

settings, count, out = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
recipe = Recipe("videos", **settings, clip_length=8, size=256, val_fraction=0)
names = [f"v{number}" for number in range(count)]
videos = tuple(Video(n, 64, 30.0, Noise(i), n, "train") for i, n in enumerate(names))
plan = make_plan(recipe, Path("source"), Listing(videos))
clock = Clock()
build(plan, out, clock, compute=Compute(workers=2))
spent = time.process_time() - clock.first[0]
print(json.dumps({"clips": plan.clips, "us": spent / (plan.clips - clock.first[1]) * 1e6}))
"""


def cost(given: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        trees = {"here": ROOT}
        git = ("git", "-C", str(ROOT), "worktree")
        if given.before:
            trees[given.before] = Path(folder, "before")
            add = [*git, "add", "--quiet", "--detach", str(trees[given.before]), given.before]
            subprocess.run(add, check=True)
        try:
            for name, code in trees.items():
                program = Path(folder, "cost.py")
                program.write_text(COST)
                Path(folder, "noise.py").write_text(NOISE)
                out = Path(folder, f"out-{name}")
                done = subprocess.run(
                    [sys.executable, program, json.dumps(SETTINGS), "40", out],
                    cwd=code,
                    env={**os.environ, "PYTHONPATH": f"{code}:{folder}"},
                    stdout=subprocess.PIPE,
                    check=True,
                )
                answer = json.loads(done.stdout.splitlines()[-1])
                found[f"CPU of the driver, {name}"] = f"{answer['us']:.0f} us a clip"
                size = sum(p.stat().st_size for p in out.rglob("*.tar")) / answer["clips"]
                found[f"bytes a clip, {name}"] = f"{size:.0f}"
        finally:
            if given.before:
                subprocess.run([*git, "remove", "--force", str(trees[given.before])], check=True)
    return found


def listing(given: argparse.Namespace) -> dict[str, Any]:
    """Copies of one small video, under names of their own; nothing of them is known beforehand."""
    import av
    import numpy as np

    import pipelines.spread
    from pipelines.build import plan_build
    from pipelines.recipe import Recipe
    from preprocess.remote import located

    # However few files there are, and processes.
    pipelines.spread._FEW = pipelines.spread._FEWEST_PROCESSES = 0
    found: dict[str, Any] = {}
    recipe = Recipe("videos", **SETTINGS, clip_length=FRAMES)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder, "source", "00000.mp4")
        first.parent.mkdir()
        with av.open(str(first), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
            for _ in range(150):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))
            container.mux(stream.encode(None))
        content = first.read_bytes()
        for number in range(1, given.files):
            first.with_name(f"{number:05d}.mp4").write_bytes(content)
        for processes in given.processes:
            os.environ["XDG_CACHE_HOME"] = str(Path(folder, f"cache{processes}"))
            began, own, others = time.perf_counter(), cpu_of("SELF"), cpu_of("CHILDREN")
            made = plan_build(recipe, first.parent, processes=processes)
            made.source_summary()
            seconds = time.perf_counter() - began
            own, others = cpu_of("SELF") - own, cpu_of("CHILDREN") - others
            each = f"{(own + others) / given.files * 1e3:.2f} ms of CPU a file"
            found[f"files a second, {processes} processes"] = (
                f"{given.files / seconds:.0f}, {each}, {others / given.files * 1e3:.2f} not in this"
            )
        os.environ["XDG_CACHE_HOME"] = str(Path(folder, "cache"))
        few = min(given.files, 100)
        with local_s3() as (fs, requests):
            fs.mkdir("videos")
            for number in range(few):
                fs.pipe_file(f"videos/{number:05d}.mp4", content)
            for what in ("cold", "again"):
                requests.clear()
                made = plan_build(recipe, located("s3://videos"))
                made.source_summary()
                found[f"requests of {few} files, {what}"] = in_words(requests)
    return found


def cpu_of(whose: str) -> float:
    """CPU seconds of this process (SELF), or of those that it started, which have ended
    (CHILDREN)."""
    return sum(resource.getrusage(getattr(resource, f"RUSAGE_{whose}"))[:2])


def requests(given: argparse.Namespace) -> dict[str, Any]:
    """A build of noise whose shards are as many and as large as real ones of 256 px."""
    found: dict[str, Any] = {}
    shards = 4
    with local_s3() as (fs, counted), tempfile.TemporaryDirectory() as folder:
        fs.mkdir("out")
        Path(folder, "noise.py").write_text(NOISE)
        program = Path(folder, "cost.py")
        program.write_text(COST)
        counted.clear()
        subprocess.run(
            [sys.executable, program, json.dumps(SETTINGS), str(shards * 8), "s3://out/shards"],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        sizes = fs.du("out/shards", total=False)
    tars = [size for name, size in sizes.items() if name.endswith(".tar")]
    found["shards, bytes of one"] = f"{len(tars)}, {sum(tars) / len(tars):.0f}"
    found["requests"] = in_words(counted)
    found["requests a shard"] = f"{counted.total() / len(tars):.1f}"
    return found


def in_words(requests: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(requests.items()))


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "plan": plan,
    "rate": rate,
    "cost": cost,
    "listing": listing,
    "requests": requests,
}

if __name__ == "__main__":
    sys.exit(main())
