"""`Clip`: consecutive frames of one video with their annotations; the sample of a shard."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

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
                 (T, S, S) float32 in [0, 1]: depth of the whole frame, 0 near to 1 far; or None.
    `reference`, `reference_mask`
                 (S, S, 3) and (S, S) uint8: the video's reference frame in this clip's crop; or
                 None.
    `info`       what `{key}.json` holds: plain JSON values.

    Raises ValueError when shapes or dtypes disagree, naming the key and the field.
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
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rgb.ndim != 4 or not len(self.rgb):
            raise ValueError(f"clip {self.key}: rgb has shape {self.rgb.shape}, not (T, H, W, 3)")
        t, h, w, _ = self.rgb.shape
        expected: dict[str, tuple[tuple[int, ...], type]] = {
            "rgb": ((t, h, w, 3), np.uint8),
            "mask": ((t, h, w), np.uint8),
            "pose": ((t, h, w, 3), np.uint8),
            "depth_person": ((t, h, w), np.float32),
            "depth_frame": ((t, h, w), np.float32),
            "reference": ((h, w, 3), np.uint8),
            "reference_mask": ((h, w), np.uint8),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array is not None and (array.shape != shape or array.dtype != dtype):
                raise ValueError(
                    f"clip {self.key}: {name} is {array.dtype}{array.shape}, "
                    f"not {np.dtype(dtype)}{shape}"
                )
        k = self.keypoints
        if k is None:
            return
        if k.dtype != np.float32 or k.ndim != 4 or (len(k), k.shape[3]) != (t, 3):
            raise ValueError(
                f"clip {self.key}: keypoints are {k.dtype}{k.shape}, "
                f"not float32 ({t}, people, joints, 3)"
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the arrays this clip has, in the order of the fields."""
        arrays = (f.name for f in fields(self) if f.name not in ("key", "info"))
        return tuple(name for name in arrays if getattr(self, name) is not None)
