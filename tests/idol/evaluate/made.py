"""Clips made for the occasion: folders of frames, depth and masks, and shards."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from shards.sample.clip import Clip
from shards.sample.colormap import depth_to_grey
from tests.idol.train.micro import write_shards

SIZE = 32


def frames(seed: int, count: int = 8, size: int = SIZE) -> np.ndarray:
    """(count, size, size, 3) uint8: a texture that moves by a pixel a frame."""
    noise = np.random.default_rng(seed).integers(0, 256, (size, size + count, 3), np.uint8)
    wide = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.stack([wide[:, t : t + size] for t in range(count)])


def person(count: int = 8, size: int = SIZE) -> np.ndarray:
    """(count, size, size) bool: a box."""
    inside = np.zeros((count, size, size), bool)
    inside[:, size // 4 : -size // 8, size // 4 : -size // 4] = True
    return inside


def depth(count: int = 8, size: int = SIZE) -> np.ndarray:
    """(count, size, size) float32: a slope on the person, white behind."""
    slope = np.linspace(0.2, 0.5, size, dtype=np.float32)[None, :, None]
    return np.where(person(count, size), slope, np.float32(1)).astype(np.float32)


def write_folder(
    folder: Path, rgb: np.ndarray, depths: np.ndarray | None = None, first: int = 0
) -> Path:
    """A clip's folder; depth as `depth.npy`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(rgb, first):
        assert cv2.imwrite(str(folder / f"{number:04d}.png"), frame[..., ::-1])
    if depths is not None:
        np.save(folder / "depth.npy", depths)
    return folder


def write_depth(folder: Path, depths: np.ndarray) -> None:
    """Depth pictures in 16 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(depths):
        assert cv2.imwrite(str(folder / f"{number:04d}.png"), depth_to_grey(one))


def shard_clip(seed: int, video: str, first: int = 0, count: int = 8) -> Clip:
    """A clip of a dataset, with every modality that evaluation reads."""
    rgb, mask = frames(seed, count), person(count)
    points = np.zeros((count, 1, 134, 3), np.float32)
    points[:, 0, :18] = [*np.random.default_rng(seed).uniform(8, 24, 2), 1]
    still = {"reference": rgb[0], "background": rgb[0]}
    masks = {name: mask[0].astype(np.uint8) * 255 for name in ("reference_mask", "background_mask")}
    return Clip(
        key=f"videos-{video}-{first}",
        rgb=rgb,
        mask=mask.astype(np.uint8) * 255,
        pose=np.where(mask[..., None], np.uint8(200), np.uint8(0)).repeat(3, -1),
        keypoints=points,
        depth_person=depth(count),
        **still,
        **masks,
        info={
            "frame_indices": list(range(first, first + count)),
            "first_frame": first,
            "size": [SIZE, SIZE],
            "video": video,
            "fps": 25.0,
        },
    )


def dataset(root: Path, videos: int = 3, clips: int = 2) -> Path:
    """A dataset whose validation split has so many clips of each of so many videos."""
    val = [
        shard_clip(10 * v + c, f"v{v}", first=8 * c) for v in range(videos) for c in range(clips)
    ]
    return write_shards(root, [shard_clip(99, "train")], val)
