"""The clips that are offered as persons and motions, and small pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from idol.generate.sheet import shown_frames
from idol.pretrained import PRETRAINED
from shards import open_dataset
from shards.sample.clip import Clip
from shards.sample.images import encode_png

__all__ = ["clip_name", "example_clips", "motion_strip", "offered_clips", "person_picture"]

_EXAMPLES = Path("examples/people-128.tar")
_MOST = 500  # clips of a dataset that are listed; others are typed
_SIDE = 96  # pixels of a small picture


def example_clips() -> tuple[str, ...]:
    """The dataset that comes with the project's source, where it is there."""
    for path in (_EXAMPLES, PRETRAINED.parent.parent.parent / _EXAMPLES):
        if path.is_file():
            return (str(path),)
    return ()


def clip_name(dataset: str, key: str) -> str:
    """As `idol-generate` takes it."""
    return f"{dataset}::{key}"


def offered_clips(datasets: Sequence[str]) -> list[str]:
    """Names of the first 500 clips of each dataset. Raises ShardsError where one cannot be read."""
    return [
        clip_name(dataset, key)
        for dataset in datasets
        for key in islice(open_dataset(dataset).entries, _MOST)
    ]


def person_picture(clip: Clip) -> bytes | None:
    """A PNG of the clip's person, cut out of their surroundings; None where it has none."""
    if clip.reference is None or clip.reference_mask is None:
        return None
    cut = np.where(clip.reference_mask[..., None] > 127, clip.reference, np.uint8(128))
    return encode_png(_small(np.ascontiguousarray(cut)))


def motion_strip(clip: Clip) -> bytes | None:
    """A PNG of up to eight of the clip's skeletons, over its frames; None where it has none."""
    if clip.pose is None:
        return None
    tiles = []
    for t in shown_frames(len(clip.pose)):
        drawn = clip.pose[t]
        dimmed = (clip.rgb[t] // 3).astype(np.uint8)
        tiles.append(_small(np.where(drawn.max(-1, keepdims=True) > 24, drawn, dimmed)))
    return encode_png(np.concatenate(tiles, axis=1))


def _small(image: np.ndarray) -> np.ndarray:
    how = cv2.INTER_AREA if image.shape[0] > _SIDE else cv2.INTER_CUBIC
    small: np.ndarray = cv2.resize(image, (_SIDE, _SIDE), interpolation=how)
    return small
