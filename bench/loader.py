"""How fast clips come off the disk: ours, plain webdataset, litdata, mosaicml-streaming.

Ours is measured twice: its threads, and the same stream in torch's DataLoader. Peers that are not
installed are left out.

    make bench-loader

Prints clips and images (decoded members) per second with no, one and two worker processes, with
the files out of (cold) and in (warm) the system's page cache, and each rate's ratio to decoding
the same bytes from memory with the same decoder. Contenders take turns within a round, and raw
decoding comes before and after each, so that whatever else the machine does falls on all of them;
a ratio is that to the mean of the two, and medians over the rounds are printed. A rate counts from
a pass's eighth batch, when each worker has delivered as many: start-up and the first touch of
memory are in no process's. Files are cold in the first round only.

Raw decoding has as many processes as the loaders have workers. These have one more, that takes
the batches: where processes are as many as cores, it works on decoding's time.

Then the same for an object store, which is made slow: reading by ranges, through an empty cache
(each shard is downloaded, verified and read), and again through the full one.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from loader_peers import BATCH, OURS, PEERS, Contender, raw_seconds, read_samples
from loader_store import report_store

from shards.sample.clip import Clip

WARM_UP = 8  # batches; a multiple of the numbers of workers, so that all have given as many


def made_clips(count: int, frames: int, size: int = 256) -> dict[str, Clip]:
    """Clips that compress as footage does: smooth, with some noise; a person-sized blob moves."""
    clips = {}
    y, x = np.mgrid[:size, :size]
    for number in range(count):
        rng = np.random.default_rng(number)
        scene = cv2.GaussianBlur(rng.normal(size=(size, size, 3)), (0, 0), 6)
        scene = (scene - scene.min()) / np.ptp(scene) * 220
        rgb, mask, pose, depth = [], [], [], []
        for t in range(frames):
            grain = rng.normal(scale=3, size=scene.shape)
            rgb.append(np.clip(scene + grain, 0, 255).astype(np.uint8))
            radius = ((x - 100 - 3 * t) / 40) ** 2 + ((y - 128) / 100) ** 2
            mask.append(((radius < 1) * 255).astype(np.uint8))
            depth.append(np.where(radius < 1, 0.3 + 0.2 * radius, 1).astype(np.float32))
            skeleton = np.zeros((size, size, 3), np.uint8)
            for _ in range(12):
                ends = rng.integers(60, 200, 4)
                colour = tuple(int(c) for c in rng.integers(0, 255, 3))
                cv2.line(skeleton, ends[:2], ends[2:], colour, 4, cv2.LINE_AA)
            pose.append(skeleton)
        info = {"frame_indices": list(range(frames)), "size": [size, size]}
        key = f"made-{number:05d}-0"
        arrays = {"mask": mask, "pose": pose, "depth_person": depth}
        stacked = {name: np.stack(array) for name, array in arrays.items()}
        clips[key] = Clip(key, np.stack(rgb), info=info, **stacked)
    return clips


def forget(folder: Path) -> None:
    """Put a folder's files out of the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rate(batches: Iterable[object], clips: int) -> float:
    """Clips per second from batch `WARM_UP` on. Raises RuntimeError if a pass lacks clips."""
    seen, begin, end = 0, 0.0, 0.0
    for number, batch in enumerate(batches, 1):
        seen += len(batch.rgb if hasattr(batch, "rgb") else batch["rgb"])  # type: ignore[index]
        end = time.perf_counter()
        if number == WARM_UP:
            begin = end
    if seen < clips:
        raise RuntimeError(f"a pass gave {seen} of {clips} clips")
    return (seen - WARM_UP * BATCH) / (end - begin)


RAW = "raw decoding"
Rates = dict[tuple[int, str, str], list[tuple[float, float]]]


def measure(clips: dict[str, Clip], rounds: int, folder: Path) -> Rates:
    """By (workers, contender, cache): rates and ratios to raw decoding, one of each a round."""
    ours = folder / OURS.name
    OURS.write(ours, clips)  # type: ignore[arg-type, misc]
    samples = read_samples(ours)
    peers = [peer for peer in PEERS if importlib.util.find_spec(peer.package)]
    places = {OURS.name: ours}
    for peer in peers:
        places[peer.name] = folder / peer.name if peer.write else ours
        if peer.write:
            peer.write(places[peer.name], samples)
    rates: Rates = {}
    contenders: list[Contender] = [OURS, *peers]
    for number in range(rounds):
        for workers in (0, 1, 2):
            rates.setdefault((workers, RAW, "memory"), [])
            before = len(samples) / raw_seconds(samples.values(), workers)
            for contender in _rotated(contenders, number):
                place = places[contender.name]
                for cache in ("warm",) if number else ("cold", "warm"):
                    if cache == "cold":
                        forget(place)
                    got = rate(contender.load(place, workers), len(samples))
                    after = len(samples) / raw_seconds(samples.values(), workers)
                    raw = (before + after) / 2
                    rates.setdefault((workers, contender.name, cache), []).append((got, got / raw))
                    rates.setdefault((workers, RAW, "memory"), []).append((after, after / raw))
                    before = after
    return rates


def _rotated(contenders: list[Contender], number: int) -> list[Contender]:
    first = number % len(contenders)
    return contenders[first:] + contenders[:first]


def report(rates: Rates, images: int) -> None:
    """Print the table; `images` are those of a clip."""
    print(f"{'':20}{'workers':>8}{'cache':>8}{'clips/s':>9}{'images/s':>10}{'of raw':>8}  (range)")
    for (workers, name, cache), found in sorted(rates.items(), key=lambda item: item[0][0]):
        ratios = [ratio for _, ratio in found]
        middle = statistics.median(clips for clips, _ in found)
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(
            f"{name:20}{workers:8}{cache:>8}{middle:9.1f}{middle * images:10.0f}"
            f"{statistics.median(ratios):8.2f}  {spread}"
        )
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=96, help="clips of eight frames")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, nargs="+", choices=[8, 1], default=[8, 1])
    options = parser.parse_args()
    for frames in options.frames:
        count = options.clips * 8 // frames
        clips = made_clips(count, frames)
        with tempfile.TemporaryDirectory() as folder:
            rates = measure(clips, options.rounds, Path(folder))
            load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
            print(f"{count} clips of {frames} frames: rgb, mask, pose and depth of 256x256")
            print(f"{os.cpu_count()} cores, mean load over 1, 5 and 15 minutes: {load}")
            report(rates, images=4 * frames)
            if frames == 8:
                report_store(Path(folder) / OURS.name, count)


if __name__ == "__main__":
    main()
