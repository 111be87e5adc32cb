"""Fig. 3: what the streams' features look like and how they move, of one clip of one model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from idol.config.model import MODALITY_NAMES
from idol.data.datasets import open_datasets
from idol.data.preparation import LatentBatch, Preparation
from idol.diffusion.noise import named_noise
from idol.losses.literal import motion_consistency
from idol.saved import Trained, load_trained
from idol.train.cli import parse
from idol.train.samples import clip_features, colour_motion, displacements

__all__ = ["Seen", "seen_by"]


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """Of one clip of F frames, its M streams.

    `key`        of the clip.
    `frames_FHW3` the clip itself, uint8.
    `features`   by stream, (F, H, W, 3) uint8: their three first principal components as colours.
    `motion`     by stream, (F - 1, H, W, 3) uint8: the motion field; hue is direction.
    `differences` of several clips, this one first: Eq. 5 between the streams' motion fields, at
        this layer.
    `relative`   the same over what it would be of fields that have nothing to do with each other,
        the sum of both fields' distances from no motion at all: 0 where they agree. Fields that
        grow flat differ less, and agree no more.
    """

    key: str
    frames_FHW3: np.ndarray
    features: dict[str, np.ndarray]
    motion: dict[str, np.ndarray]
    differences: tuple[float, ...]
    relative: tuple[float, ...]


@torch.no_grad()
def seen_by(output: Path, shards: str, count: int = 4, *, split: str | None = None) -> Seen:
    """The first held-out clip as the model of a run of stage video sees it; numbers of several.

    Args:
        output: the run's `--output`.
        shards: what was held out.
        count: of clips that are measured.
        split: of the shards; val if they have it, unless given.
    """
    config = parse(["--config", str(output / "config.json")])
    config = dataclasses.replace(config, shards=(shards,))
    trained, _ = load_trained(output)
    prepare = Preparation.of(config, trained.codec, trained.image_encoder)
    data = open_datasets(config)
    split = split or ("train" if data.without_val else "val")
    batches = list(data.first_clips(split, count))
    prepared = [prepare(clips, torch.device("cpu")) for clips in batches]
    features = [of_clip for batch in prepared for of_clip in _features(trained, batch)]
    clips, batch, features_MFHWC = batches[0], prepared[0], features[0]
    moved = displacements(features_MFHWC)
    longest = float(torch.linalg.vector_norm(moved, dim=-1).quantile(0.98))
    names = [MODALITY_NAMES[m] for m in batch.modalities]
    coloured = _principal(features_MFHWC)
    return Seen(
        key=batch.key[0],
        frames_FHW3=np.asarray(clips.rgb[0]),
        features=dict(zip(names, coloured, strict=True)),
        motion={
            name: np.stack([colour_motion(frame, longest) for frame in of.numpy()])
            for name, of in zip(names, moved, strict=True)
        },
        differences=tuple(_difference(of_clip) for of_clip in features),
        relative=tuple(_difference(of_clip) / _apart(of_clip) for of_clip in features),
    )


def _features(trained: Trained, batch: LatentBatch) -> Tensor:
    """Of both streams of all clips, (B, M, F, H, W, C), with one noise on all frames."""
    shape = batch.latents_BMFCHW.shape[1:]
    noise = torch.stack([named_noise(f"figure/{key}", shape) for key in batch.key])
    return clip_features(trained.denoiser.eval(), batch, noise).float()


def _difference(features_MFHWC: Tensor) -> float:
    """Eq. 5."""
    video, depth = features_MFHWC[:1], features_MFHWC[1:2]
    return float(motion_consistency(video, depth, features_MFHWC.shape[-1] ** -0.5))


def _apart(features_MFHWC: Tensor) -> float:
    """Eq. 5 between each stream and one without features, whose motion field is flat, together."""
    flat, temperature = torch.zeros_like(features_MFHWC[:1]), features_MFHWC.shape[-1] ** -0.5
    return sum(float(motion_consistency(one[None], flat, temperature)) for one in features_MFHWC)


def _principal(features_MFHWC: Tensor) -> np.ndarray:
    """The three directions in which the features of both streams differ most, as colours."""
    flat = features_MFHWC.flatten(0, 3)
    centred = flat - flat.mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    # Of each direction the sign in which its largest part is positive: it is arbitrary otherwise.
    first = directions[:3]
    largest = first.gather(1, first.abs().argmax(dim=1, keepdim=True))
    parts = centred @ (first * largest.sign()).T
    low, high = parts.quantile(0.02, dim=0), parts.quantile(0.98, dim=0)
    scaled = ((parts - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return (scaled * 255).round().to(torch.uint8).unflatten(0, features_MFHWC.shape[:4]).numpy()
