"""Small sources and the comparison of whole datasets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.build import BuildSummary, build, plan_build
from pipelines.cluster import ENVIRONMENT
from pipelines.compute import Compute
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from pipelines.retry import matcher

# A recipe without networks: decoding, planning, writing and resuming are all there.
BARE = {
    "mask": "none",
    "pose": "none",
    "depth": ("none",),
    "crop": "center",
    "size": 32,
    "shots": "off",  # numbered frames change from one to the next as scenes do
}


@pytest.fixture(scope="session")
def ray_is_up():
    """One Ray for all tests that need one: builds use what is running. Starting takes seconds;
    that a build starts and stops its own is tested through the command."""
    import ray

    os.environ.update(ENVIRONMENT)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def videos(tmp_path, make_video) -> Path:
    """Three videos of numbered frames: 40, 20 and 33 frames."""
    source = tmp_path / "source"
    make_video(source / "one.mp4", 40)
    make_video(source / "deep er" / "two.v2.mp4", 20)
    make_video(source / "three.mkv", 33)
    return source


@pytest.fixture
def run(tmp_path) -> Callable[..., BuildSummary]:
    """run(source, out, workers=0, **recipe) builds with the bare recipe and these settings."""

    def run_build(
        source: Path,
        out: str | Path,
        *,
        workers: int = 0,
        dataset: str = "videos",
        retry: bool = False,
        bare: bool = True,
        **recipe,
    ) -> BuildSummary:
        defaults = {**BARE, "clip_length": 8, "clips_per_shard": 3} if bare else {}
        plan = plan_build(Recipe(dataset, **{**defaults, **recipe}), source)
        return build(
            plan,
            str(out),
            Reporter(),
            compute=Compute(workers=workers),
            retry=matcher(None) if retry else None,
        )

    return run_build


def tree(root: Path) -> dict[str, str]:
    """Every file below root with its checksum."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
