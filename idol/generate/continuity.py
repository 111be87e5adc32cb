"""How well a long video holds together: what its seams are, and how far its colours drift."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

__all__ = ["Drift", "changes", "colour_distances", "drift", "seam"]


@dataclasses.dataclass(frozen=True)
class Drift:
    """Mean over a video's frames of the distance of their colours from frame 0's.

    In 8-bit levels, 0 to 441 (Euclidean in RGB); None where frame 0, or all others, show none of
    it. A mean, so that a video that wavers but drifts nowhere has what each part of it has, at any
    length.
    """

    background: float | None
    person: float | None


def changes(frames: np.ndarray) -> np.ndarray:
    """Mean absolute change from each frame to the next, (F - 1,) float64 in levels.

    frames: (F, H, W, 3) uint8.
    """
    return np.array([np.abs(b.astype(np.int16) - a).mean() for a, b in itertools.pairwise(frames)])


def seam(frames: np.ndarray, stride: int) -> float | None:
    """How much stronger a video changes where windows meet than elsewhere; 1 is no seam.

    For each phase p, the mean change into frames whose number is p modulo `stride`, over the mean
    change into all others; the largest of these. It needs not know where the windows began. By
    chance the largest is above 1 in any footage, the more so the fewer frames there are: compare
    with real footage of as many frames.

    frames: (F, H, W, 3) uint8. Returns None where there are not two phases to compare; 1 where
    nothing moves, infinity where something moves at one phase alone.
    """
    change = changes(frames)
    phase = np.arange(1, len(frames)) % max(stride, 1)
    present = np.unique(phase)
    if len(present) < 2:
        return None
    ratios = []
    for p in present:
        here, elsewhere = change[phase == p].mean(), change[phase != p].mean()
        if elsewhere > 0:
            ratios.append(here / elsewhere)
        else:
            ratios.append(np.inf if here > 0 else 1.0)
    return float(max(ratios))


def colour_distances(frames: np.ndarray, persons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each frame's colours from those of frame 0, in 8-bit levels.

    The background is compared pixel by pixel where it is seen in both frames, and its differences
    are averaged with their signs: what a person uncovers counts as little as noise does. The
    person, who moves, is compared by the mean colour.

    Args:
        frames: (F, H, W, 3) uint8.
        persons: (F, H, W) bool, or uint8 with 128 and up the person.

    Returns:
        Of background and of person (F,) float64, NaN where one of both frames does not show it.
    """
    masks = persons if persons.dtype == bool else persons > 127
    first, first_mask = frames[0].astype(np.float64), masks[0]
    pairs = list(zip(frames, masks, strict=True))
    background = [_length((frame - first)[~(mask | first_mask)]) for frame, mask in pairs]
    start = _mean(first[first_mask])
    person = [_length(frame[mask] - start) for frame, mask in pairs]
    return np.array(background), np.array(person)


def drift(frames: np.ndarray, persons: np.ndarray) -> Drift:
    """How far colours go from those of frame 0; arguments as for `colour_distances`."""
    return Drift(*_means(distances[1:] for distances in colour_distances(frames, persons)))


def _means(series: Iterator[np.ndarray]) -> Iterator[float | None]:
    for distances in series:
        known = distances[np.isfinite(distances)]
        yield float(known.mean()) if len(known) else None


def _length(differences_N3: np.ndarray) -> float:
    return float(np.linalg.norm(_mean(differences_N3)))


def _mean(colours_N3: np.ndarray) -> np.ndarray:
    return colours_N3.mean(axis=0) if len(colours_N3) else np.full(3, np.nan)
