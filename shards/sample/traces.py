"""What is drawn of a clip over time: a value a frame, or a lowest and a highest one.

Each function takes the clip's json and a modality's array of T frames, and returns (T,) or (T, 2)
float64, NaN where there is nothing. What the json leaves unsaid, or says otherwise than we do, is
no error.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = [
    "confidence",
    "depth_range",
    "depth_said",
    "depth_unit",
    "number_said",
    "range_said",
    "share",
]

_PERSON = 127  # masks above this are the person
_BACKGROUND = 1.0


def share(info: Mapping[str, Any], masks: np.ndarray) -> np.ndarray:
    """The fraction of each frame that masks (T, H, W) uint8 say is the person: (T,)."""
    return (masks > _PERSON).mean(axis=(1, 2))


def confidence(info: Mapping[str, Any], keypoints: np.ndarray) -> np.ndarray:
    """The mean score of the key points (T, people, joints, 3) that were seen, (T,)."""
    scores = keypoints[..., 2].reshape(len(keypoints), -1).astype(np.float64)
    seen = scores > 0
    return np.where(seen.any(1), scores.sum(1) / np.maximum(seen.sum(1), 1), np.nan)


def depth_range(modality: str) -> Callable[[Mapping[str, Any], np.ndarray], np.ndarray]:
    """Nearest and farthest of depths (T, H, W) in [0, 1], (T, 2), where there is depth: in the unit
    that the json names, in that of the map where it names none. Of the person's depth, the
    background counts as none."""

    def compute(info: Mapping[str, Any], depth: np.ndarray) -> np.ndarray:
        flat = depth.reshape(len(depth), -1).astype(np.float64)
        said = range_said(info, modality)
        if said.get("grey") == "near-white":
            flat = 1 - flat
        far_at = said.get("far_at", _BACKGROUND)
        known = flat <= (far_at + _BACKGROUND) / 2
        if not said and modality == "depth_person":
            known = flat < _BACKGROUND
        low = np.where(known, flat, np.inf).min(1)
        high = np.where(known, flat, -np.inf).max(1)
        found = np.where(known.any(1)[:, None], np.stack([low, high], 1), np.nan)
        if said:
            found = said["near"] + found / far_at * (said["far"] - said["near"])
        return found

    return compute


def depth_unit(modality: str) -> Callable[[Mapping[str, Any]], str]:
    """The unit of `depth_range`, as the json calls it."""

    def unit(info: Mapping[str, Any]) -> str:
        said = range_said(info, modality)
        return str(said.get("unit") or "") if said else "of the depth map, 0 to 1"

    return unit


def depth_said(info: Mapping[str, Any], modality: str) -> Mapping[str, Any]:
    """What the json says of a depth; empty where it says nothing."""
    depth = info.get("depth")
    said = depth.get(modality) if isinstance(depth, dict) else None
    return said if isinstance(said, dict) else {}


def range_said(info: Mapping[str, Any], modality: str) -> Mapping[str, Any]:
    """What the json says of a depth's range; empty unless all of it is there."""
    said = depth_said(info, modality)
    numbers = [number_said(said, name) for name in ("near", "far", "far_at")]
    return said if None not in numbers and numbers[2] else {}


def number_said(said: object, name: str) -> float | None:
    """The finite number of this name in what the json says of something, where there is one."""
    value = said.get(name) if isinstance(said, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None
