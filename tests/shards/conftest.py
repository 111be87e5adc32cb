"""Small clips and datasets to test on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("WDS_SECURE", "1")  # webdataset reads it when it is imported

import cv2
import fsspec
import numpy as np
import pytest

from shards.dataset import open_for_build
from shards.manifest import Quarantined
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.sample.keys import parse_key
from shards.writer import commit_shard

T, H, W = 3, 24, 32  # no two equal, so that swapped axes show


def _smooth(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random fields in [0, 1], smooth as photographs are."""
    noise = rng.normal(size=shape)
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in noise])
    return (blurred - blurred.min()) / np.ptp(blurred)


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Clip]:
    def make(key: str = "videos-walk-0", *, seed: int = 0) -> Clip:
        rng = np.random.default_rng(seed)
        rgb = (_smooth(rng, T, H, W, 3) * 255).astype(np.uint8)
        mask = np.where(_smooth(rng, T, H, W) > 0.5, 255, 0).astype(np.uint8)
        person = _smooth(rng, T, H, W) * 0.75
        keypoints = rng.uniform(0, 1, (T, 1, 18, 3)) * (W, H, 1)
        _, video, first = parse_key(key)
        info = {
            "dataset": "videos",
            "video": video,
            "split": "train",
            "first_frame": first,
            "frame_indices": list(range(first, first + T)),
            "timestamps": [round((first + t) / 10, 6) for t in range(T)],
            "fps": 10.0,
            "size": [W, H],
            "person_frames": [True, True, False],
            "keypoints": {"joint_set": "openpose18", "people": 1, "mean_score": [0.5, 0.7, None]},
            "depth": {"depth_person": {"label": "pose-derived, not measured"}},
            "reference": {
                "frame": 0,
                "person": True,
                "box": [0, 0, 24, 24],
                "coverage": round(float((mask[0] > 127).mean()), 4),
                "background_shift": [3.0, -4.0],
                "background_match": 0.9,
            },
            "annotators": {"pose": {"name": "lite", "version": "1"}},
        }
        return Clip(
            key=key,
            rgb=rgb,
            mask=mask,
            pose=rng.integers(0, 256, (T, H, W, 3), np.uint8),
            keypoints=keypoints.astype(np.float32),
            depth_person=np.where(mask > 127, person, 1).astype(np.float32),
            depth_frame=_smooth(rng, T, H, W).astype(np.float32),
            reference=rgb[0],
            reference_mask=mask[0],
            background=rgb[0],
            background_mask=mask[0],
            info=info,
        )

    return make


@pytest.fixture(scope="session")
def build(make_clip: Callable[..., Clip]) -> Callable[[str | Path], None]:
    """Builds a dataset of two train shards with two clips each and an empty one for validation."""

    def build(root: str | Path) -> None:
        opened = open_for_build(root, {"size": 32}, software={"idol-video": "0"})
        failed = [Quarantined("videos-walk-96", "walk", "no person")]
        for index in range(2):
            clips = [
                make_clip(f"videos-walk-{first}", seed=first)
                for first in (32 * index, 32 * index + 16)
            ]
            commit_shard(
                root,
                "train",
                index,
                [(c.key, encode_clip(c)) for c in clips],
                failed[index:],
                fingerprint=opened.info.fingerprint,
            )
        commit_shard(root, "val", 0, [], fingerprint=opened.info.fingerprint)
        opened.finish({"train": 2, "val": 1})

    return build


@pytest.fixture
def dataset(tmp_path: Path, build: Callable[[str | Path], None]) -> Path:
    """The root of a complete dataset on disk."""
    root = tmp_path / "data set [1]"
    build(root)
    return root


@pytest.fixture
def memory_url() -> str:
    """An empty folder in fsspec's object store in memory."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    return "memory://bucket/data"
