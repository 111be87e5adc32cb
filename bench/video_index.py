"""What the index of pictures adds to a build of whole MP4s: its share of time and of memory.

    python bench/video_index.py VIDEO... [--rounds 5]

Time: reading the index of each file by its packets, over decoding all its pictures, and over a
build of those files without any network (decoding, cropping, encoding, writing): the smallest that
a build can be. Memory: the index's bytes, over the process's when it has been built. Medians.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from pipelines.build import build, plan_build
from pipelines.compute import Compute
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from preprocess.errors import InputError
from preprocess.picture_index import make_index
from preprocess.video import VideoFile
from shards.command import run

NO_NETWORK = {"mask": "none", "pose": "none", "depth": ("none",), "crop": "center"}


def seconds(of: list[float]) -> float:
    return statistics.median(of)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(argv)
    indexing, decoding, building = [], [], []
    size = 0
    for _ in range(given.rounds):
        start = time.perf_counter()
        indices = [make_index(path) for path in given.videos]
        indexing.append(time.perf_counter() - start)
        assert not any(index.decoded for index in indices), "one of them had to be decoded"
        size = sum(
            value.nbytes
            for index in indices
            for field in fields(index)
            if isinstance(value := getattr(index, field.name), np.ndarray)
        )
        start = time.perf_counter()
        for path, index in zip(given.videos, indices, strict=True):
            for _frame in VideoFile(path).read(range(index.frames)):
                pass
        decoding.append(time.perf_counter() - start)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "source")
            source.mkdir()
            for path in given.videos:
                (source / path.name).symlink_to(path.resolve())
            start = time.perf_counter()
            plan = plan_build(Recipe("videos", **NO_NETWORK), source)
            build(plan, f"{folder}/out", Reporter(), compute=Compute(workers=0))
            building.append(time.perf_counter() - start)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    frames = sum(index.frames for index in indices)
    print(f"{len(given.videos)} files, {frames} frames")
    print(f"index: {seconds(indexing) * 1e3:.1f} ms, {size / frames:.0f} bytes a frame")
    print(f"of decoding: {seconds(indexing) / seconds(decoding):.2%}")
    print(f"of a build without networks: {seconds(indexing) / seconds(building):.2%}")
    print(f"of the process's memory: {size / held:.3%}")
    return 0


if __name__ == "__main__":
    sys.exit(run("video_index.py", main, errors=(InputError, OSError)))
