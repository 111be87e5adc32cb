"""Encoding a dataset: list what is missing of its latents, make that, commit shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from idol.encoders.vae_identity import find_vae, identify_vae
from preprocess.errors import InputError
from shards.errors import BadManifest, BadSample, BadTar, NotADataset, ShardsError
from shards.files.storage import Store
from shards.latents.info import LatentsInfo, open_for_encoding
from shards.latents.members import BACKGROUND, encode_members
from shards.manifest import Manifest, Sample, list_shards, load_manifests, shard_name
from shards.mix import read_mix
from shards.reader import Entry, Shard, open_dataset, read_sample
from shards.sample.codec import decode_info
from shards.sample.modalities import streamed_rows
from shards.stream.fill import background_of, fill_frames
from shards.writer import commit_shard

if TYPE_CHECKING:
    from idol.encoders.vae_encoder import Precision, VAEEncoder

__all__ = ["EncodeReporter", "EncodeSummary", "Encoding", "encode"]


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What to encode and by what; `device` and `batch` change nothing but rounding.

    `share`: `(i, n)` makes every n-th shard from the i-th on, so that n processes, on a GPU each,
    make all of them.
    Raises InputError naming the first mistake.
    """

    dataset: str
    base: Path
    size: int = 256
    device: str = "auto"
    batch: int = 16
    precision: Precision = "float32"
    share: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        index, count = self.share
        if not 0 <= index < count:
            raise InputError(f"--share must be I/N with I from 0 to N - 1, not {index}/{count}")
        if self.batch < 1:
            raise InputError(f"--batch must be at least 1, not {self.batch}")


class EncodeReporter:
    """What an encoding tells while it runs; this one keeps silent."""

    def planned(self, folder: str, clips: int, shards: int, kept: int) -> None:
        """Before the VAE is loaded: what is to be made, and how many shards are there already."""

    def encoded(self) -> None:
        """A clip is encoded."""


@dataclass(frozen=True)
class EncodeSummary:
    """How an encoding ended: over all shards of this share, made now or kept."""

    url: str
    shards_made: int
    shards_kept: int
    clips: int
    bytes: int


def encode(encoding: Encoding, reporter: EncodeReporter | None = None) -> EncodeSummary:
    """Make the latents of a dataset, or what is missing or outdated of them.

    Stopped at any time, by Ctrl-C or a kill, the same call goes on with the shards that are not
    committed; the result is the same bytes.
    Raises InputError for a VAE that cannot be used or a mixture, and ShardsError for a dataset that
    cannot be read, or latents of another encoding in that place.
    """
    reporter = reporter or EncodeReporter()
    root = Store.at(encoding.dataset)
    shards = _shards_of(root)
    folder = find_vae(encoding.base)
    info = _info(encoding, folder)
    store = open_for_encoding(root, info)
    index, count = encoding.share
    if count == 1:
        _clear(store, shards)
    own = shards[index::count]
    kept, pending = _divided(store, own, info)
    clips = sum(len(shard.manifest.samples) for shard in pending)
    reporter.planned(store.url(), clips, len(pending), len(kept))
    made = []
    if pending:
        from idol.encoders.vae_encoder import VAEEncoder

        vae = VAEEncoder(
            folder, device=encoding.device, precision=encoding.precision, batch=encoding.batch
        )
        for shard in pending:
            split = shard.manifest.split
            store.sweep(split, f"{shard_name(shard.manifest.index)}.")
            samples = _encoded(shard, vae, encoding.size, reporter)
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
        raise InputError(
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


def _info(encoding: Encoding, folder: Path) -> LatentsInfo:
    vae = identify_vae(folder)
    if encoding.size < 1 or encoding.size % vae.factor:
        raise InputError(f"--size must be a multiple of {vae.factor}, not {encoding.size}")
    return LatentsInfo(
        vae_sha256=vae.sha256,
        size=encoding.size,
        channels=vae.channels,
        factor=vae.factor,
        precision=encoding.precision,
    )


def _divided(
    store: Store, shards: list[Shard], info: LatentsInfo
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


def _clear(store: Store, shards: list[Shard]) -> None:
    """Remove what killed encodings left, and latents of shards that the dataset has no more."""
    there = {(shard.manifest.split, shard.manifest.index) for shard in shards}
    store.sweep()
    for split, is_folder in store.list().items():
        for index in list_shards(store, split) if is_folder else ():
            if (split, index) not in there:
                for extension in ("json", "tar"):
                    store.remove(f"{split}/{shard_name(index)}.{extension}")


def _encoded(
    shard: Shard, vae: VAEEncoder, size: int, reporter: EncodeReporter
) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    from idol.data.scale import scale_pictures

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
            encoded = vae.moments(scale_pictures(array, size))
            moments[name] = encoded[0] if name == BACKGROUND else encoded
        yield sample.key, encode_members(sample.key, info, moments)
        reporter.encoded()


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
    for row, streamed in streamed_rows():
        if streamed.latents and sample.sizes.get(row.name):
            frames = np.empty((sample.frames, sample.height, sample.width, 3), np.uint8)
            fill_frames(frames, members, sample.key, row.name, range(sample.frames))
            images[f"{row.name}_latents"] = frames
    if sample.sizes.get("reference") and sample.sizes.get("reference_mask"):
        images[BACKGROUND] = background_of(members, sample.key, sample.height, sample.width)[None]
    return info, images
