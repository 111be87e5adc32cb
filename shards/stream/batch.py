"""`ClipSample` and `ClipBatch`: what a stream yields and training takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

__all__ = ["ARRAYS", "ClipBatch", "ClipSample", "collate"]

Array = Any  # numpy.ndarray as the stream yields it, torch.Tensor after `to_tensors`

ARRAYS = (
    *("rgb", "mask", "pose", "depth"),
    *("foreground", "foreground_mask", "background", "background_mask"),
    *("rgb_latents", "pose_latents", "depth_latents", "background_latents"),
)


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
    frame_indices: Array
    consumed: int
    skipped: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        """`sample["rgb"]` for `sample.rgb`, as loops written for WebDataset's dictionaries say it.

        Raises KeyError for another name.
        """
        if name not in {f.name for f in fields(self)}:
            raise KeyError(name)
        return getattr(self, name)

    def map(self, change: Callable[[Array], Array]) -> Self:
        """The same with every array changed: `batch.map(lambda x: x.to(device))`."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.type == "Array"}
        return replace(self, **{n: change(a) for n, a in arrays.items() if a is not None})

    def pin_memory(self) -> Self:
        """What torch's DataLoader asks of a batch of tensors when it pins memory."""
        return self.map(lambda tensor: tensor.pin_memory())


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
                     (H, W, 3), (H, W) uint8: the person's picture with its surroundings, which
                     the mask removes after CLIP's normalisation.
    `background`, `background_mask`
                     (H, W, 3), (H, W) uint8: the place with a mid-grey hole (128) where the mask
                     is 255. Both parts are cut from the video's reference frame, or see `cut`.
    `rgb_latents`, `pose_latents`, `depth_latents`
                     (T, 2C, h, w) float16: the frames' moments, means before logarithms of
                     variances, unscaled, in place of the pictures; `background_latents`
                     (2C, h, w). See `shards.latents`.
    `position`       the sample's place in the order of all ranks.
    `consumed`       the state to go on from after this sample, on all ranks: samples consumed.
    `skipped`        one line for each clip that could not be read and that this one stands in for.
    """

    key: str
    position: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipBatch(_Content):
    """B samples of one rank: every array of `ClipSample` with B in front, e.g. rgb (B, T, H, W, 3).

    `key`       B keys; `frame_indices` (B, T) int64.
    `positions` the samples' places in the order of all ranks.
    `consumed`  the state to go on from after this batch, on all ranks: samples consumed.
    `skipped`   those of all samples.
    """

    key: tuple[str, ...]
    positions: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.key)


def collate(samples: Sequence[ClipSample]) -> ClipBatch:
    """A batch of samples that follow each other on one rank; arrays are copied.

    A stream with a `batch_size` makes its batches without the copy.
    """
    names = [n for n in (*ARRAYS, "frame_indices") if getattr(samples[0], n) is not None]
    arrays = {name: np.stack([getattr(sample, name) for sample in samples]) for name in names}
    return ClipBatch(
        key=tuple(sample.key for sample in samples),
        positions=tuple(sample.position for sample in samples),
        consumed=samples[-1].consumed,
        skipped=tuple(line for sample in samples for line in sample.skipped),
        **arrays,
    )
