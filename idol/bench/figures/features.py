"""Fig. 3: what the streams' features look like and how they move, of one clip of one model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from idol.config.model import MODALITY_NAMES
from idol.data.datasets import open_datasets
from idol.data.preparation import Preparation
from idol.diffusion.noise import named_noise
from idol.losses.literal import motion_consistency
from idol.saved import load_trained
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
    `difference` Eq. 5 between the streams' motion fields, at this layer.
    """

    key: str
    frames_FHW3: np.ndarray
    features: dict[str, np.ndarray]
    motion: dict[str, np.ndarray]
    difference: float


@torch.no_grad()
def seen_by(output: Path) -> Seen:
    """The first held-out clip as the model of a run of stage video sees it.

    Args:
        output: the run's `--output`.
    """
    config = parse(["--config", str(output / "config.json")])
    trained, _ = load_trained(output)
    [clips] = open_datasets(config).first_clips("val", 1)
    prepare = Preparation.of(config, trained.codec, trained.image_encoder)
    batch = prepare(clips, torch.device("cpu"))
    shape = batch.latents_BMFCHW.shape[1:]
    noise = named_noise(f"figure/{batch.key[0]}", shape)[None]
    features_MFHWC = clip_features(trained.denoiser.eval(), batch, noise)[0].float()
    moved = displacements(features_MFHWC)
    longest = float(torch.linalg.vector_norm(moved, dim=-1).quantile(0.98))
    names = [MODALITY_NAMES[m] for m in batch.modalities]
    coloured = _principal(features_MFHWC)
    video, depth = features_MFHWC[:1], features_MFHWC[1:2]
    return Seen(
        key=batch.key[0],
        frames_FHW3=np.asarray(clips.rgb[0]),
        features=dict(zip(names, coloured, strict=True)),
        motion={
            name: np.stack([colour_motion(frame, longest) for frame in of.numpy()])
            for name, of in zip(names, moved, strict=True)
        },
        difference=float(motion_consistency(video, depth, features_MFHWC.shape[-1] ** -0.5)),
    )


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
