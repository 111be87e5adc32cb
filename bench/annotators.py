"""Frames a second of each annotator against its bare network in a loop: ratios, from one run.

Run from the repository root: `python bench/annotators.py`. Networks have their published sizes and
random weights, and both sides take turns on the same frames, device and batch. Ratios are medians
of the rounds'. On a CPU those of processor time are given as well, which other programs disturb
less. Grounded-SAM takes minutes there, and SAM 3 is measured there only where it is named.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from annotator_cases import CASES, Case, Setting
from rich.console import Console
from rich.table import Table

from preprocess import weights
from preprocess.annotators.scene import Scene
from preprocess.crop import centre_crop
from preprocess.errors import InputError
from preprocess.video import VideoFile

SIZE = 256


def footage(frames: int) -> Scene:
    reader = VideoFile(weights.locate("footage/demo.mp4"))
    images = tuple(frame.rgb for frame in reader.read(range(frames)))
    height, width = images[0].shape[:2]
    return Scene(images, (), centre_crop(width, height, SIZE), fps=30.0)


Times = tuple[float, float]
"""Seconds that passed, and seconds of processor time."""


def seconds(work: Callable[[], object], device: str) -> Times:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    started, used = time.perf_counter(), time.process_time()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started, time.process_time() - used


def measured(case: Case, scene: Scene, options: argparse.Namespace) -> list[tuple[Times, Times]]:
    """For all frames, through the project and bare, of each round."""
    first = Scene(scene.frames[: options.batch], (), scene.crop, scene.fps)
    case.annotate(first), case.bare(first.frames)  # warms up
    return [
        (
            seconds(lambda: case.annotate(scene), options.device),
            seconds(lambda: case.bare(scene.frames), options.device),
        )
        for _ in range(options.rounds)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    on_gpu = torch.cuda.is_available()
    usual = [name for name in CASES if on_gpu or name != "sam3"]
    parser.add_argument("--annotators", nargs="+", choices=list(CASES), default=usual)
    parser.add_argument("--frames", type=int, default=64 if on_gpu else 4)
    parser.add_argument("--batch", type=int, default=8 if on_gpu else 2)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved repetitions")
    parser.add_argument("--device", default="cuda" if on_gpu else "cpu")
    parser.add_argument("--half", action="store_true", help="float16, on a GPU")
    parser.add_argument("--sam", default="vit_h" if on_gpu else "vit_b")
    options = parser.parse_args()

    scene = footage(options.frames)
    height, width = scene.frames[0].shape[:2]
    where = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    table = Table(
        title=f"{len(scene.frames)} frames of {width}x{height}, batch {options.batch}, {where}"
    )
    columns = ["annotator", "frames/s", "bare network", "ratio", "of each round"]
    on_cpu = options.device == "cpu"
    for column in (*columns, "by processor time") if on_cpu else columns:
        table.add_column(column, justify="left" if column == "annotator" else "right")
    console = Console(width=120)
    left_out = []
    for name in options.annotators:
        with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            setting = Setting(
                options.device, options.half, options.batch, options.sam, Path(scratch)
            )
            try:
                case = CASES[name](setting)
            except InputError as error:
                left_out.append(f"{name} is left out: {error}")
                continue
            console.print(f"measuring {name}: ", end="")
            rounds = measured(case, scene, options)
        count = len(scene.frames)
        ratios = [theirs[0] / mine[0] for mine, theirs in rounds]
        by_processor = [theirs[1] / mine[1] for mine, theirs in rounds]
        sides = zip(*rounds, strict=True)
        ours, bare = (count / statistics.median(times[0] for times in side) for side in sides)
        row = [name, f"{ours:.2f}", f"{bare:.2f}", f"{statistics.median(ratios):.2f}"]
        row.append(" ".join(f"{ratio:.2f}" for ratio in ratios))
        if on_cpu:
            row.append(f"{statistics.median(by_processor):.2f}")
        table.add_row(*row)
        console.print(", ".join(row[1:]))  # at once: what is stopped has shown what it had
        del case
        gc.collect()
    console.print(table)
    for reason in left_out:
        console.print(reason)


if __name__ == "__main__":
    main()
