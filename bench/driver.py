"""What the process that runs a build costs, and how far it goes: `bench/driver.py PART`.

    plan      seconds and memory of planning 1,000,000 clips: of videos, and of single images
    rate      clips a second through one driver with workers and committers that take no time and
              return outcomes and manifests of real size; memory of driver, ledger and planner
    cost      CPU of the driver for each clip of a real build on Ray, here and at --before COMMIT
    listing   files a second that are listed, probed and planned, by the number of processes

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    parser.add_argument("--images", action="store_true", help="of single images (plan, rate)")
    parser.add_argument("--before", default="", help="a commit to compare with (cost)")
    parser.add_argument("--files", type=int, default=400, help="video files (listing)")
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

    class Clock(Reporter):
        def made(self, clips: int, quarantined: Any) -> None:
            stamps.append((time.perf_counter(), clips))

    ray.init(
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
            if shards % 1000 == 0:
                ledger = max(ledger, memory_of("ray::_Ledger"))
        cpu = time.process_time() - cpu
    seconds = stamps[-1][0] - stamps[0][0]
    after_first = sum(clips for _, clips in stamps[1:])
    frames = 1 if given.images else FRAMES
    ray.shutdown()
    return {
        "clips, shards": f"{manifests}, {shards}",
        **found,
        "clips a second, first outcome to last": f"{after_first / seconds:.0f}",
        "frames a second": f"{after_first * frames / seconds:.0f}",
        "CPU of the driver": f"{cpu / given.clips * 1e6:.0f} us a clip",
        "memory of the ledger": f"{ledger:.0f} MB",
    }


def memory_of(title: str) -> float:
    """MB that the processes with this title hold."""
    pages = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(title.encode()):
                pages += int((folder / "statm").read_text().split()[1])
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

    pipelines.spread._FEW = 0
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
        for processes in (1, 2):
            os.environ["XDG_CACHE_HOME"] = str(Path(folder, f"cache{processes}"))
            began = time.perf_counter()
            made = plan_build(recipe, first.parent, processes=processes)
            made.source_summary()
            seconds = time.perf_counter() - began
            found[f"files a second, {processes} processes"] = f"{given.files / seconds:.0f}"
    return found


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "plan": plan,
    "rate": rate,
    "cost": cost,
    "listing": listing,
}

if __name__ == "__main__":
    sys.exit(main())
