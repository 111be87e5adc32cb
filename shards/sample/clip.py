"""`Clip`: consecutive frames of one video with their annotations; the sample of a shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shards.sample.modalities import MODALITIES
from shards.sample.traces import depth_said

__all__ = ["BACKGROUND_DEPTH", "FOREGROUND_DEPTH_END", "Clip"]

# Foreground depth fills [0, .75]; the background is 1, which `hot` draws white.
FOREGROUND_DEPTH_END = 0.75
BACKGROUND_DEPTH = 1.0


@dataclass(frozen=True, eq=False)
class Clip:
    """An annotated clip: T frames of S x S pixels with whatever annotations were asked for.

    `key`        `{dataset}-{video}-{first frame}`, unique in a dataset, without dots or slashes.
    `rgb`        (T, S, S, 3) uint8.
    `mask`       (T, S, S) uint8, 0 background to 255 person; or None.
    `pose`       (T, S, S, 3) uint8, the drawn skeleton on black; or None.
    `keypoints`  (T, people, joints, 3) float32: x, y in pixels of the clip, score in [0, 1];
                 or None.
    `depth_person`
                 (T, S, S) float32 in [0, 1]: depth of the person, 0 near to .75 far, background 1;
                 or None.
    `depth_frame`
                 (T, S, S) float32 in [0, 1]: depth of the whole frame, 0 near to 1 far, or turned
                 round where the json's `depth` says grey near-white; or None.
    `reference`, `reference_mask`
                 (S, S, 3) and (S, S) uint8: the foreground, a reference frame cut by its own
                 subject's box, and the subject's mask; or None.
    `background`, `background_mask`
                 (S, S, 3) and (S, S) uint8: the same frame in this clip's crop, and the mask of
                 the people annotated; or None.
    `more`       arrays of further modalities, by name, shaped as `modalities.MODALITIES` says.
    `info`       what `{key}.json` holds: plain JSON values.

    `clip["mask"]` is `clip.mask`, and finds those in `more` too; None where there is no such array.
    Raises ValueError when shapes or dtypes disagree, naming the key and the modality.
    """

    key: str
    rgb: np.ndarray
    mask: np.ndarray | None = None
    pose: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    depth_person: np.ndarray | None = None
    depth_frame: np.ndarray | None = None
    reference: np.ndarray | None = None
    reference_mask: np.ndarray | None = None
    background: np.ndarray | None = None
    background_mask: np.ndarray | None = None
    more: Mapping[str, np.ndarray] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, key: str, arrays: Mapping[str, np.ndarray], info: dict[str, Any]) -> Clip:
        """A clip of arrays by modality, `rgb` among them."""
        own = {name: array for name, array in arrays.items() if name in cls.__dataclass_fields__}
        more = {name: array for name, array in arrays.items() if name not in own}
        return cls(key=key, info=info, more=more, **own)

    def __post_init__(self) -> None:
        if self.rgb.ndim != 4 or not len(self.rgb):
            raise ValueError(f"clip {self.key}: rgb has shape {self.rgb.shape}, not (T, H, W, 3)")
        if unknown := sorted(set(self.more) - set(MODALITIES)):
            raise ValueError(f"clip {self.key}: no such modality: {', '.join(unknown)}")
        for name, array in self.arrays.items():
            try:
                MODALITIES[name].check(array, *self.rgb.shape[:3])
            except ValueError as error:
                raise ValueError(f"clip {self.key}: {error}") from error

    def __getitem__(self, modality: str) -> np.ndarray | None:
        if modality not in MODALITIES:
            raise KeyError(modality)
        return self.more.get(modality, getattr(self, modality, None))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays this clip has, by modality, in the order of the table."""
        found = ((name, self[name]) for name in MODALITIES)
        return {name: array for name, array in found if array is not None}

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the arrays this clip has, in the order of the table."""
        return tuple(self.arrays)

    def depth_in_unit(self, modality: str) -> np.ndarray:
        """(T, S, S) float32: depth in the unit that the json names, smaller is nearer.

        NaN where there is none (the background of the person's). Values beyond the range of the
        video were clamped to it. `modality`: depth_person or depth_frame, either way round.
        Raises KeyError where the clip has no such depth, or its json does not say of which range.
        """
        depth, described = self[modality], depth_said(self.info, modality)
        if depth is None or not described:
            raise KeyError(f"clip {self.key} has no {modality} with a range in its json")
        if described["near"] is None:
            return np.full(depth.shape, np.nan, np.float32)
        if described.get("grey") == "near-white":
            depth = 1 - depth
        near, far, far_at = (described[name] for name in ("near", "far", "far_at"))
        known = depth <= (far_at + BACKGROUND_DEPTH) / 2
        return np.where(known, near + depth / far_at * (far - near), np.nan).astype(np.float32)
