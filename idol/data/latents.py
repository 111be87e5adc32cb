"""Cached latents: list what a dataset lacks of them, make that, commit shard by shard."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from idol.config.encode import EncodeConfig
from idol.data.preparation import scale_images
from idol.encoders import VAECodec
from idol.encoders.vae_identity import find_vae, identify_vae
from idol.errors import IdolError
from shards.errors import BadManifest, BadSample, BadTar, NotADataset, ShardsError
from shards.files.storage import Store
from shards.latents import LatentsInfo, encode_members, latents_rows, open_for_encoding
from shards.manifest import Manifest, Sample, list_shards, load_manifests, shard_name
from shards.mix import read_mix
from shards.reader import Entry, Shard, open_dataset, read_sample
from shards.sample.codec import decode_info
from shards.sample.modalities import Modality
from shards.stream.fill import stored_images
from shards.writer import commit_shard

__all__ = ["EncodeError", "EncodeSummary", "encode_dataset", "encode_shards"]


class EncodeError(IdolError):
    """A VAE cannot be used on this dataset."""


@dataclass(frozen=True)
class EncodeSummary:
    """How an encoding ended: over all shards of this `--share`, made now or kept."""

    url: str
    shards_made: int
    shards_kept: int
    clips: int
    bytes: int


def encode_dataset(
    config: EncodeConfig,
    *,
    planned: Callable[[str, int, int, int], None] = lambda *_: None,
    encoded: Callable[[], None] = lambda: None,
) -> EncodeSummary:
    """Make the latents of a dataset, or what is missing or outdated of them.

    Stopped at any time, by Ctrl-C or a kill, the same call resumes with the shards that are not
    committed; the result is the same bytes.

    Args:
        planned: called before the VAE is loaded, with the folder of the latents, the clips and
            shards to make, and how many shards are kept.
        encoded: called after each clip.

    Raises:
        EncodeError: the VAE cannot be used, or the dataset is a mixture.
        ShardsError: the dataset cannot be read, or latents of another encoding are in that place.
    """
    root = Store.at(config.dataset)
    return encode_shards(config, _shards_of(root), root, planned=planned, encoded=encoded)


def encode_shards(
    config: EncodeConfig,
    shards: Sequence[Shard],
    root: Store,
    *,
    planned: Callable[[str, int, int, int], None] = lambda *_: None,
    encoded: Callable[[], None] = lambda: None,
) -> EncodeSummary:
    """As `encode_dataset`, of shards that are open, into a folder of latents in `root`."""
    folder = find_vae(config.base)
    info = _info(config, folder)
    store = open_for_encoding(root, info)
    if config.part.step == 1:  # nobody else writes there
        _clear(store, shards)
    kept, pending = _divided(store, shards[config.part], info)
    clips = sum(len(shard.manifest.samples) for shard in pending)
    planned(store.url(), clips, len(pending), len(kept))
    made = []
    vae = _load_vae(config, folder) if pending else None
    for shard in pending:
        assert vae is not None
        split = shard.manifest.split
        store.sweep(split, f"{shard_name(shard.manifest.index)}.")
        samples = _encoded(shard, vae, config.size, encoded)
        fingerprint = info.fingerprint(shard.manifest)
        made.append(
            commit_shard(store, split, shard.manifest.index, samples, fingerprint=fingerprint)
        )
    return EncodeSummary(
        url=store.url(),
        shards_made=len(made),
        shards_kept=len(kept),
        clips=sum(len(manifest.samples) for manifest in [*kept, *made]),
        bytes=sum(manifest.bytes for manifest in [*kept, *made]),
    )


def _shards_of(root: Store) -> list[Shard]:
    if (mix := read_mix(root)) is not None:
        raise EncodeError(
            f"{root.url()} is a mixture: encode each of its datasets by itself, "
            + ", ".join(entry.store.url() for entry in mix)
        )
    dataset = open_dataset(root)
    if dataset.ignored:
        raise NotADataset(f"{dataset.ignored[0]}; finish the build first")
    if not dataset.shards or any("/" not in shard.name for shard in dataset.shards):
        raise NotADataset(
            f"{dataset.url}: give the folder of the whole dataset, beside whose splits the latents "
            "are written"
        )
    return list(dataset.shards)


def _info(config: EncodeConfig, folder: Path) -> LatentsInfo:
    vae = identify_vae(folder)
    if config.size % vae.factor:
        raise EncodeError(f"--size must be a multiple of {vae.factor}, not {config.size}")
    return LatentsInfo(
        vae_sha256=vae.sha256,
        size=config.size,
        channels=vae.channels,
        factor=vae.factor,
        precision=config.precision,
    )


def _divided(
    store: Store, shards: Sequence[Shard], info: LatentsInfo
) -> tuple[list[Manifest], list[Shard]]:
    """The manifests of latents that are there, and the shards that have none, or others'."""
    places = [(shard.manifest.split, shard.manifest.index) for shard in shards]
    kept, pending = [], []
    for shard, manifest in zip(shards, load_manifests(store, places), strict=True):
        if isinstance(manifest, BadManifest) or manifest.fingerprint != info.fingerprint(
            shard.manifest
        ):
            pending.append(shard)
        else:
            kept.append(manifest)
    return kept, pending


def _clear(store: Store, shards: Sequence[Shard]) -> None:
    """Remove what killed encodings left, and latents of shards that the dataset has no more."""
    there = {(shard.manifest.split, shard.manifest.index) for shard in shards}
    store.sweep()
    for split, is_folder in store.list().items():
        for index in list_shards(store, split) if is_folder else ():
            if (split, index) not in there:
                for extension in ("json", "tar"):
                    store.remove(f"{split}/{shard_name(index)}.{extension}")


def _load_vae(config: EncodeConfig, folder: Path) -> VAECodec:
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EncodeError(f"--device {device} cannot be used: {error}") from error
    vae = VAECodec.from_pretrained(folder, lazily=True, chunk=config.batch)
    vae.to(device, getattr(torch, config.precision))
    try:
        _ = vae.vae
    except (OSError, ValueError, RuntimeError) as error:
        raise EncodeError(f"{folder}: no VAE can be loaded from it ({error})") from error
    return vae


def _encoded(
    shard: Shard, vae: VAECodec, size: int, encoded: Callable[[], None]
) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    for sample in shard.manifest.samples:
        try:
            members = {name: memoryview(data) for name, data in read_sample(Entry(shard, sample))}
            info, images = _images(sample, members)
        except (BadSample, BadTar) as error:
            raise ShardsError(
                f"{shard.url}: sample {sample.key}: {error}; `idol-shards verify` finds all faults"
            ) from error
        moments = {}
        for name, array in images.items():
            made = _stored_moments(vae, array, size)
            moments[name] = made[0] if latents_rows()[name].files == "still" else made
        yield sample.key, encode_members(sample.key, info, moments)
        encoded()


def _images(
    sample: Sample, members: Mapping[str, memoryview]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The clip's json, and by the name of their latents the images that training would give to the
    VAE, bit for bit: (N, H, W, 3) uint8.

    N is the clip's frames, 1 for the background with its hole. Modalities that the clip does not
    have are left out. Raises BadSample, naming key or member.
    """
    if sample.width is None or sample.height is None:
        raise BadSample(f"{sample.key}: its json does not say its size")
    info = decode_info(
        [(name, bytes(data)) for name, data in members.items() if name.endswith(".json")]
    )
    images = {}
    for name, row in latents_rows().items():
        if all(sample.sizes.get(needed) for needed in _needed(row)):
            size = sample.frames, sample.height, sample.width
            images[name] = stored_images(members, sample.key, row, *size)
    return info, images


def _needed(row: Modality) -> list[str]:
    hole = row.streamed.hole if row.streamed else ""
    return [row.name, hole] if hole else [row.name]


def _stored_moments(vae: VAECodec, images_NHWC: np.ndarray, size: int) -> np.ndarray:
    """Moments (N, 2C, h, w) of uint8 images as they are stored, float16."""
    moments = vae.moments(scale_images(images_NHWC, size)).float().to("cpu", torch.float16)
    if not moments.isfinite().all():
        raise EncodeError("the VAE gave values that are not finite: use --precision float32")
    return moments.numpy()
