"""`ClipSample` and `ClipBatch`: what a stream yields and training takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np

__all__ = ["ClipBatch", "ClipSample", "collate"]

Array = Any  # numpy.ndarray as the stream yields it, torch.Tensor after `to_tensors`


@dataclass(frozen=True, eq=False, kw_only=True)
class _Content:
    """The arrays, described in the subclasses."""

    rgb: Array = None
    mask: Array = None
    pose: Array = None
    depth: Array = None
    foreground: Array = None
    foreground_mask: Array = None
    background: Array = None
    background_mask: Array = None
    rgb_latents: Array = None
    pose_latents: Array = None
    depth_latents: Array = None
    background_latents: Array = None
    more: Mapping[str, Array] = field(default_factory=dict)
    frame_indices: Array
    consumed: int
    skipped: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        """`sample["rgb"]` for `sample.rgb`, and what is in `more`. Raises KeyError for others."""
        if name in self.more:
            return self.more[name]
        if name not in {f.name for f in fields(self)}:
            raise KeyError(name)
        return getattr(self, name)

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays that are there, by name, but for `frame_indices`."""
        own = {name: getattr(self, name) for name in _OWN}
        return {name: array for name, array in own.items() if array is not None} | dict(self.more)

    def with_arrays(self, arrays: Mapping[str, Array]) -> Self:
        """The same with these arrays, by name, in place of those that are there."""
        return replace(self, **{**dict.fromkeys(_OWN), **_placed(arrays)})

    def map(self, change: Callable[[Array], Array]) -> Self:
        """The same with every array changed: `batch.map(lambda x: x.to(device))`."""
        changed = self.with_arrays({name: change(array) for name, array in self.arrays.items()})
        return replace(changed, frame_indices=change(self.frame_indices))

    def pin_memory(self) -> Self:
        """The same with tensors in pinned memory, from which they reach a GPU asynchronously."""
        return self.map(lambda tensor: tensor.pin_memory())


# What may be absent is an array, and nothing else is None by default.
_OWN = tuple(f.name for f in fields(_Content) if f.default is None)


def _placed(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Arrays by name as the fields of a sample: those without one of their own go into `more`."""
    own = {name: array for name, array in arrays.items() if name in _OWN}
    return {**own, "more": {name: a for name, a in arrays.items() if name not in own}}


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipSample(_Content):
    """T frames of H x W pixels of one clip. Absent is what was not asked for: None.

    `key`            the clip's key; `frame_indices` (T,) int64: which frames of its video.
    `rgb`            (T, H, W, 3) uint8.
    `mask`           (T, H, W) uint8, 0 background to 255 person.
    `pose`           (T, H, W, 3) uint8, the drawn skeleton on black.
    `depth`          (T, H, W, 3) uint8, as the model sees it: the person's in `hot` colours, that
                     of the whole frame in grey, rounded to 8 bits.
    `foreground`, `foreground_mask`
                     (H, W, 3), (H, W) uint8: the person in a crop of its own with its
                     surroundings, which the mask removes after CLIP's normalisation.
    `background`, `background_mask`
                     (H, W, 3), (H, W) uint8: the place, under the frames pixel by pixel, with a
                     mid-grey hole (128) where the mask is 255, or see `hole`. Both parts show one
                     reference frame, or see `cut`.
    `rgb_latents`, `pose_latents`, `depth_latents`
                     (T, 2C, h, w) float16: the frames' moments, means before logarithms of
                     variances, unscaled, in place of the images; `background_latents`
                     (2C, h, w). See `shards.latents`.
    `more`           arrays of further modalities of the table, by the name they are streamed as:
                     (T, H, W, 3) or (T, H, W) uint8; and those that are made of others, `posed` and
                     `posed_depth`, (T, H, W, 3) uint8, and `depth_scores`, (T,) uint8.
    `position`       the sample's place in the order of all ranks.
    `consumed`       the state to resume from after this sample, on all ranks: samples consumed.
    `skipped`        one line for each clip that could not be read and that this one stands in for.
    """

    key: str
    position: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipBatch(_Content):
    """B samples of one rank: every array of `ClipSample` with B in front, e.g. rgb (B, T, H, W, 3).

    `key`       B keys; `frame_indices` (B, T) int64.
    `positions` the samples' places in the order of all ranks.
    `consumed`  the state to resume from after this batch, on all ranks: samples consumed.
    `skipped`   those of all samples.
    """

    key: tuple[str, ...]
    positions: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.key)


def collate(samples: Sequence[ClipSample]) -> ClipBatch:
    """A batch of samples that follow each other on one rank; arrays are copied.

    `ClipStream.batches` makes its batches without the copy.
    """
    first = samples[0].arrays
    arrays = {name: np.stack([sample[name] for sample in samples]) for name in first}
    return ClipBatch(
        key=tuple(sample.key for sample in samples),
        positions=tuple(sample.position for sample in samples),
        frame_indices=np.stack([sample.frame_indices for sample in samples]),
        consumed=samples[-1].consumed,
        skipped=tuple(line for sample in samples for line in sample.skipped),
    ).with_arrays(arrays)
