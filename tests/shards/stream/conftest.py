"""Small datasets to stream: many tiny clips for the order, a few whole ones for the content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from shards.dataset import open_for_build
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.sample.keypoints import COCO_18, Keypoints
from shards.sample.skeleton import draw_poses
from shards.writer import commit_shard

H, W = 16, 24  # not equal, so that swapped axes show


def grey_clip(key: str, frames: int, first: int = 0) -> Clip:
    """Frame t of the clip is grey 8 * t everywhere; its number in the video is first + 10 t."""
    rgb = np.repeat(np.arange(frames, dtype=np.uint8) * 8, H * W * 3).reshape(frames, H, W, 3)
    indices = [first + 10 * t for t in range(frames)]
    return Clip(key, rgb, info={"frame_indices": indices, "size": [W, H], "video": key})


def full_clip(key: str, frames: int = 9, size: int = 64, seed: int = 0) -> Clip:
    """A clip with every modality: a person's box walks right, its skeleton with it.

    The foreground is a ramp of its own, in blue, and its person lies elsewhere.
    """
    rng = np.random.default_rng(seed)
    rgb = np.zeros((frames, size, size, 3), np.uint8)
    rgb[..., 0] = np.linspace(0, 255, size).astype(np.uint8)
    rgb[..., 1] = np.linspace(0, 255, size).astype(np.uint8)[:, None]
    mask = np.zeros((frames, size, size), np.uint8)
    points = np.ones((frames, 1, 18, 3), np.float32)
    for t in range(frames):
        mask[t, size // 4 : 3 * size // 4, 8 + t : 24 + t] = 255
        points[t, 0, :, 0] = 16 + t + rng.uniform(-6, 6, 18)
        points[t, 0, :, 1] = size / 2 + rng.uniform(-12, 12, 18)
    info = {
        "frame_indices": list(range(frames)),
        "size": [size, size],
        "keypoints": {"joint_set": "coco_18", "style": "openpose"},
    }
    return Clip(
        key=key,
        rgb=rgb,
        mask=mask,
        keypoints=points,
        pose=draw_poses(Keypoints(points, COCO_18), (size, size), "openpose"),
        depth_person=np.where(mask > 0, 0.5, 1).astype(np.float32),
        depth_frame=np.broadcast_to(np.linspace(0, 1, size, dtype=np.float32), mask.shape).copy(),
        reference=rgb[0, :, :, ::-1],
        reference_mask=np.ascontiguousarray(mask[0].T),
        background=rgb[0],
        background_mask=mask[0],
        info=info,
    )


@pytest.fixture(scope="session")
def build_tiny() -> Callable[..., Path]:
    """build(root, counts, frames): shards of so many grey clips each, named {name}-v{shard}-{i}."""

    def build(root: Path, counts: Sequence[int], *, frames: int = 1, name: str = "d") -> Path:
        opened = open_for_build(root, {})
        for index, count in enumerate(counts):
            clips = [grey_clip(f"{name}-v{index}-{i}", frames, i) for i in range(count)]
            commit_shard(root, "train", index, [(c.key, encode_clip(c)) for c in clips])
        opened.finish({"train": len(counts)})
        return root

    return build


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, build_tiny: Callable[..., Path]) -> Path:
    """53 clips of one frame in 7 shards of different sizes, one of them empty."""
    return build_tiny(tmp_path_factory.mktemp("tiny"), (9, 8, 0, 11, 5, 13, 7))


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five whole clips of nine frames in two shards."""
    root = tmp_path_factory.mktemp("full")
    clips = [full_clip(f"videos-walk-{i}", seed=i) for i in range(5)]
    encoded = [(clip.key, encode_clip(clip)) for clip in clips]
    commit_shard(root, "train", 0, encoded[:3])
    commit_shard(root, "train", 1, encoded[3:])
    return root
