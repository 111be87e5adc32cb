"""What `idol-prep build` costs beyond its annotators: ratios, all measured in one run.

The peer is a plain loop in this process that calls the same annotators on the same clips and
writes nothing. Run by `make bench`; on a noisy machine look at the ratios, not at the seconds, and
of what each part takes at its processor time.
Reading and encoding go on beside the annotators: what they still cost is the share of a build's
time in which no annotator is at work.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.table import Table

from pipelines import worker
from pipelines.build import build, plan_build
from pipelines.compute import Compute
from pipelines.plan import Plan, Task
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from pipelines.worker import Outcome
from preprocess import weights
from preprocess.annotate import ClipRequest, annotate, survey
from preprocess.load import load
from preprocess.shots import Shot
from shards.files.storage import Store
from shards.sample.codec import Members, encode_clip
from shards.waiting import WaitingClips
from shards.writer import commit_shard

console = Console()


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Clock(Reporter):
    """Seconds from the first finished task to the last one: starting Ray and loading networks
    are paid once a build, not once a clip, and are shown apart."""

    def __init__(self) -> None:
        self.stamps: list[tuple[float, int]] = []

    def done(self, task: Task, outcome: Outcome) -> None:
        self.stamps.append((time.perf_counter(), len(task.first_frames)))

    def rate(self) -> float:
        """Clips a second."""
        seconds = self.stamps[-1][0] - self.stamps[0][0]
        return sum(clips for _, clips in self.stamps[1:]) / seconds


def plain_loop(plan: Plan) -> Clock:
    """The same annotators on the same clips, nothing encoded or written."""
    annotators = load(plan.recipe)
    clock = Clock()
    surveyed: dict[object, object] = {}
    for task in plan.tasks(plan.shards):
        video = task.video
        shot = video.id, task.shot
        if shot not in surveyed:
            surveyed = {shot: survey(video, task.shot, annotators, plan.recipe.size)}
        indices = [plan.recipe.frame_indices(first) for first in task.first_frames]
        frames = {f.index: f for f in video.reader.read(sorted(set().union(*indices)))}
        for wanted in indices:
            annotate(
                ClipRequest("", "videos", task.split, wanted, task.shot),
                video,
                [frames[i] for i in wanted],
                surveyed[shot],  # type: ignore[arg-type]
                annotators,
                size=plan.recipe.size,
            )
        clock.done(task, Outcome(task.places))
    return clock


def through_build(plan: Plan, workers: int) -> tuple[Clock, float, float]:
    """The real build into a temporary folder; how long it took until its first task was done, and
    in all."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        compute = Compute(workers=workers)
        started = time.perf_counter()
        total = timed(lambda: build(plan, f"{out}/shards", clock, compute=compute))
    return clock, clock.stamps[0][0] - started, total


def annotating(plan: Plan) -> float:
    """Of the time of a build in this process, the fraction in which annotators are at work."""
    spans: list[tuple[float, float]] = []

    def watched(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*values: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return work(*values, **options)
            finally:
                spans.append((started, time.perf_counter()))

        return run

    clock = Clock()
    with (
        tempfile.TemporaryDirectory() as out,
        patch.object(worker, "annotate", watched(worker.annotate)),
        patch.object(worker, "survey", watched(worker.survey)),
    ):
        build(plan, f"{out}/shards", clock, compute=Compute(workers=0, clip_timeout=0))
        ended = time.perf_counter()
    return sum(end - start for start, end in spans) / (ended - spans[0][0])


def now() -> np.ndarray:
    """Milliseconds that have passed, and those of processor time."""
    return np.array([time.perf_counter(), time.process_time()]) * 1e3


def parts(plan: Plan) -> dict[str, np.ndarray]:
    """Milliseconds a frame, and those of processor time, of one video's decoding, annotating,
    encoding, keeping each clip aside as workers do, and committing all of them as one shard, which
    with Ray is the work of committers beside them."""
    annotators = load(plan.recipe)
    video = plan.videos[-1]
    shot = Shot(0, video.frames - 1)
    seen = survey(video, shot, annotators, plan.recipe.size)
    started = now()
    frames = list(video.reader.read(range(video.frames)))
    rows = {"decode": [(now() - started) / video.frames]}
    clips: dict[int, Members] = {}
    firsts = range(0, video.frames - plan.recipe.span + 1, plan.recipe.clip_stride)
    keys = [f"bench-a-{first}" for first in firsts]
    for key, first in zip(keys, firsts, strict=True):
        wanted = plan.recipe.frame_indices(first)
        request = ClipRequest(key, "videos", "train", wanted, shot)
        times = [now()]
        clip = annotate(
            request,
            video,
            [frames[i] for i in wanted],
            seen,
            annotators,
            size=plan.recipe.size,
        )
        times.append(now())
        clips[len(clips)] = encode_clip(clip)
        times.append(now())
        for name, start, end in zip(("annotate", "encode"), times, times[1:], strict=False):
            rows.setdefault(name, []).append((end - start) / plan.recipe.frames)

    with tempfile.TemporaryDirectory() as out:
        started = now()
        waiting = WaitingClips(Store.at(out), "bench")
        for place, members in clips.items():
            waiting.keep("train", 0, {place: members})
        kept = now()
        rows["keep"] = [(kept - started) / (plan.recipe.frames * len(clips))]
        commit_shard(out, "train", 0, waiting.read("train", 0, keys, clips))
        rows["commit"] = [(now() - kept) / (plan.recipe.frames * len(clips))]
    return {name: np.median(values, axis=0) for name, values in rows.items()}


def show_throughput(plan: Plan, rounds: int) -> None:
    rates: dict[str, list[float]] = {}
    totals: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        started = time.perf_counter()
        clock = plain_loop(plan)
        rates.setdefault("plain loop", []).append(clock.rate())
        stamps = clock.stamps[0][0] - started, clock.stamps[-1][0] - started
        totals.setdefault("plain loop", []).append(stamps)
        for workers in (0, 1, 2):
            clock, *seconds = through_build(plan, workers)
            rates.setdefault(f"build, {workers} workers", []).append(clock.rate())
            totals.setdefault(f"build, {workers} workers", []).append((seconds[0], seconds[1]))

    table = Table("", "frames/s", "of the plain loop", title="throughput")
    table.add_column("seconds to the first clips")
    table.add_column("in all")
    peer = statistics.median(rates["plain loop"])
    for name, values in rates.items():
        rate = statistics.median(values)
        shown = (f"{value:.1f}" for value in np.median(totals[name], axis=0))
        table.add_row(name, f"{rate * plan.recipe.frames:.1f}", f"{rate / peer:.2f}", *shown)
    console.print(table)
    one, two = (statistics.median(rates[f"build, {n} workers"]) for n in (1, 2))
    console.print(f"two workers against one: {two / one:.2f}")


def show_parts(plan: Plan) -> None:
    table = Table("part", "ms a frame", "fraction", title="one clip after another")
    table.add_column("processor time")
    table.add_column("fraction")
    costs = parts(plan)
    whole = sum(costs.values())
    for name, cost in costs.items():
        (ms, of_all), (cpu, of_cpu) = zip(cost, cost / whole, strict=True)
        table.add_row(name, f"{ms:.2f}", f"{of_all:.0%}", f"{cpu:.2f}", f"{of_cpu:.0%}")
    console.print(table)
    for what, fraction in zip(("time", "processor time"), costs["annotate"] / whole, strict=True):
        console.print(f"not annotators, one after the other: {1 - fraction:.0%} of the {what}")
    a_committer = (whole - costs["commit"]) / costs["commit"]
    console.print(f"workers that one committer keeps up with: {a_committer[0]:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="interleaved repetitions")
    parser.add_argument("--pose-style", default="openpose", choices=["openpose", "dwpose"])
    parser.add_argument(
        "--only", choices=["throughput", "parts", "share"], help="one of the three, not all"
    )
    options = parser.parse_args()
    source = weights.folder() / "footage"
    recipe = Recipe("videos", pose_style=options.pose_style, stride=8, min_person_frames=0)
    plan = plan_build(recipe, source)
    console.print(f"{plan.clips} clips of {recipe.frames} frames, {recipe.size} px")
    if options.only in (None, "throughput"):
        show_throughput(plan, options.rounds)
    if options.only in (None, "parts"):
        show_parts(plan)
    if options.only in (None, "share"):
        shares = [1 - annotating(plan) for _ in range(options.rounds)]
        console.print(f"of a build's time no annotator is at work: {statistics.median(shares):.0%}")


if __name__ == "__main__":
    main()
