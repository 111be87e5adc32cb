"""The identity of what a run does not train and cannot do without: its shards, VAE and CLIP."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import nn

from idol.encoders import CLIPEncoder, VAECodec
from idol.saved import Trained
from idol.train.errors import TrainError
from shards.mix import Mixture
from shards.stream.order import shares

__all__ = ["check_frozen", "frozen_digests", "shards_digest"]

_OPTIONS = {"vae": "--vae", "image_encoder": "--image-encoder"}


def shards_digest(mixture: Mixture) -> str:
    """SHA-256 over the checksums of all shards in their order: the data's identity.

    Of a mixture with each dataset's samples in a block, to which the weights come.
    """
    digest = hashlib.sha256()
    counts = shares(mixture.weights) if mixture.weights else None
    for number, dataset in enumerate(mixture.datasets):
        if counts is not None:
            digest.update(f"mixed {counts[number]}\n".encode())
        for shard in dataset.shards_of():
            manifest = shard.manifest
            digest.update(f"{manifest.sha256} {manifest.bytes} {len(manifest.samples)}\n".encode())
    return digest.hexdigest()


def frozen_digests(trained: Trained) -> dict[str, str]:
    """SHA-256 over the tensors of VAE and CLIP, as they were loaded; those that are there.

    The tiny preset has neither, and with cached latents the VAE may never be loaded.
    """
    parts: dict[str, nn.Module] = {}
    if isinstance(trained.codec, VAECodec) and trained.codec.is_loaded:
        parts["vae"] = trained.codec.vae
    if isinstance(trained.image_encoder, CLIPEncoder):
        parts["image_encoder"] = trained.image_encoder.clip
    return {name: _digest(part) for name, part in parts.items()}


def check_frozen(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise TrainError unless a run resumes with the frozen networks that it began with."""
    TrainError.raise_if_any(
        [
            f"{_OPTIONS[name]}: give the one of before, or another --output"
            for name in before.keys() & now.keys()
            if before[name] != now[name]
        ],
        "this run began with other frozen networks",
    )


def _digest(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {[*tensor.shape]}\n".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
