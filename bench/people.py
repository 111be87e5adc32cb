"""What a frame of rendered people costs: where the time goes, and whether memory grows.

Seconds are of the process, not of the clock, so that other work on the machine counts little. Each
part's share is its own: what it calls that is a part itself is told there.

    python bench/people.py [--size 256] [--videos 8] [--frames 500] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from preprocess.sources.people import lighting, reader, render
from preprocess.sources.people.reader import RenderedVideo
from preprocess.sources.people.spec import PeopleSpec

console = Console()

# What is looked at: where it is found, and what it is called here.
_PARTS: tuple[tuple[Any, str, str], ...] = (
    (render, "pose_bones", "posing"),
    (render, "skin", "skinning"),
    (render, "joints_of", "truth: joints"),
    (render.Renderer, "_see", "z-buffer"),
    (render.Renderer, "_paint", "painting and light"),
    (render.Renderer, "_backdrop", "stage"),
    (lighting.Shadow, "of", "shadow map"),
    (lighting.Shadow, "on_stage", "stage's light and shadows"),
    (render, "_own_depth", "truth: depth of people"),
    (render.Renderer, "_hidden", "truth: what is hidden"),
    (render, "_to_srgb", "colour"),
)


class _Clock:
    """Process seconds by part, each without those of the parts within it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._within: list[float] = []

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timing(*args: Any, **kwargs: Any) -> Any:
            self._within.append(0.0)
            began = time.process_time()
            try:
                return work(*args, **kwargs)
            finally:
                took = time.process_time() - began
                self.seconds[name] += took - self._within.pop()
                if self._within:
                    self._within[-1] += took

        return timing

    @contextmanager
    def watching(self) -> Iterator[None]:
        kept = [(of, name, vars(of)[name]) for of, name, _ in _PARTS]
        for of, name, called in _PARTS:
            timed = self.timed(called, getattr(of, name))
            setattr(of, name, staticmethod(timed) if _is_static(of, name) else timed)
        try:
            yield
        finally:
            for of, name, work in kept:
                setattr(of, name, work)


def _is_static(of: Any, name: str) -> bool:
    return isinstance(vars(of)[name], staticmethod)


def _megabytes() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _frames(spec: PeopleSpec, numbers: range) -> Iterator[int]:
    """Frames one after another with all that is true of them, as a build asks for them."""
    for number in numbers:
        video = RenderedVideo(spec, number)
        for start in range(0, spec.frames, 16):
            indices = range(start, min(start + 16, spec.frames))
            for _ in zip(video.read(indices), video.truth(indices), strict=True):
                yield number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="of the frames, in pixels")
    parser.add_argument("--videos", type=int, default=8, help="of 16 frames, that are timed")
    parser.add_argument("--frames", type=int, default=500, help="over which memory is watched")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    stages = {"room": 5.0, "outdoors": 3.0, "studio": 1.0}
    spec = PeopleSpec(
        seed=options.seed, width=options.size, height=options.size, frames=16, stages=stages
    )

    began = time.process_time()
    next(_frames(spec, range(1000, 1001)))
    first = time.process_time() - began
    clock = _Clock()
    with clock.watching():
        began = time.process_time()
        count = sum(1 for _ in _frames(spec, range(options.videos)))
        took = time.process_time() - began
    shares = {
        name: seconds / count
        for name, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1])
    }
    shares["all else: worlds, clothes, colours"] = (took - sum(clock.seconds.values())) / count

    levels = []
    for n, _ in enumerate(_frames(spec, range(2000, 2000 + options.frames // 16 + 1)), start=1):
        if n % max(1, options.frames // 5) == 0:
            levels.append(round(_megabytes()))
        if n == options.frames:
            break
    found = {
        "size": options.size,
        "frames": count,
        "frames_a_second": count / took,
        "first_frame_seconds": first,
        "milliseconds": {name: 1000 * seconds for name, seconds in shares.items()},
        "megabytes": levels,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "kept_pictures": len(reader._pictures),
    }
    table = Table("part", "ms a frame", "share")
    for name, seconds in shares.items():
        table.add_row(name, f"{1000 * seconds:.1f}", f"{seconds * count / took:.0%}")
    console.print(table)
    console.print(
        f"{count / took:.1f} frames of {options.size}x{options.size} a second and core, with all "
        f"that is true of them, over {options.videos} videos; the first frame took {first:.1f} s"
    )
    console.print(
        f"memory, MB, over {options.frames} frames: {', '.join(map(str, levels))}; "
        f"peak {found['peak_megabytes']:.0f}"
    )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
