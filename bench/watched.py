"""What the process costs in which clips are made, watched from outside, beside none.

    python bench/watched.py [--tasks 12] [--depth none --pose none --mask none --crop center]

Each task of the footage is made once in this process (`--clip-timeout 0`) and once in a watched
one, who goes first in turns; seconds are those that cores have worked, of all processes together,
so that a busy machine changes nothing. What is paid once, loading, is shown apart.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from pipelines.build import plan_build
from pipelines.commit import Attempt, RealHands
from pipelines.compute import Compute
from pipelines.guard import GuardedHands, Guards
from pipelines.recipe import Recipe
from pipelines.worker import Setup
from preprocess import weights
from preprocess.provenance import provenance
from shards.dataset import open_for_build
from shards.files.storage import Store
from shards.waiting import WaitingClips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--clip-length", type=int, default=8)
    for name in ("mask", "pose", "depth"):
        parser.add_argument(f"--{name}", default="lite")
    parser.add_argument("--crop", default="subject")
    given = parser.parse_args()
    recipe = Recipe(
        "videos",
        mask=given.mask,
        pose=given.pose,
        depth=(given.depth,),
        crop=given.crop,
        clip_length=given.clip_length,
    )
    source = weights.folder() / "footage"
    plan = plan_build(recipe, source)
    tasks = plan.tasks(plan.shards)
    tasks = tasks[:: max(1, len(tasks) // given.tasks)][: given.tasks]
    clips = sum(len(task.first_frames) for task in tasks)
    print(f"{len(tasks)} tasks, {clips} clips of {recipe.frames} frames, {recipe.size} px")

    compute = Compute(workers=0)
    setup = Setup(recipe, source, None, compute.hardware(recipe), provenance(recipe, None))
    with tempfile.TemporaryDirectory() as folder:
        hands = []
        for name in ("here", "watched"):
            store = Store.at(Path(folder, name))
            session = open_for_build(store, recipe.as_json({}, half=False))
            hands.append(RealHands(setup, WaitingClips(store, session.info.fingerprint)))
        began = time.process_time()
        here = hands[0].worker()
        loaded_here = time.process_time() - began
        watched = GuardedHands(hands[1], Guards.of(compute)).worker()
        loaded_there = watched.cpu_seconds()
        spent: dict[str, list[float]] = {"here": [], "watched": []}
        for number, task in enumerate(tasks):
            pair = [("here", here), ("watched", watched)]
            for name, worker in pair if number % 2 else pair[::-1]:
                before = time.process_time() + watched.cpu_seconds()
                worker.run(task, Attempt())
                worker.flush()
                spent[name].append(time.process_time() + watched.cpu_seconds() - before)
    one, other = (sum(spent[name]) / clips * 1e3 for name in ("here", "watched"))
    each = [b / a for a, b in zip(spent["here"], spent["watched"], strict=True)]
    print(f"core-milliseconds a clip: {one:.1f} here, {other:.1f} watched: {other / one:.3f}")
    print(f"of each task: {statistics.median(each):.3f} ({min(each):.3f} to {max(each):.3f})")
    print(f"loading: {loaded_here:.1f} s here, {loaded_there:.1f} s there, imports included")


if __name__ == "__main__":
    main()
