"""Cached latents: what a VAE makes of a dataset's images, in shards beside the dataset's own.

{dataset}/latents-{VAE}-{size}/latents.json              which VAE, which size
{dataset}/latents-{VAE}-{size}/train/shard-00000.tar     samples of the same keys, same order
{dataset}/latents-{VAE}-{size}/train/shard-00000.json    manifest; says what it was made from

Of a clip are stored its frames' moments, one array a modality: the means of the VAE's posterior,
then the logarithms of its variances, unscaled.

{key}.json                     key, and the clip's frame_indices
{key}.rgb_latents.npy          (T, 2C, h, w) float16; pose_latents, depth_person_latents and
                               depth_frame_latents likewise
{key}.background_latents.npy   (2C, h, w) float16
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from shards.dataset import is_latents_folder
from shards.errors import (
    BadManifest,
    BadSample,
    LatentsMissing,
    OldSchema,
    RecipeMismatch,
    ShardsError,
)
from shards.files.digest import canonical_json, parse_json, sha256
from shards.files.storage import Store
from shards.manifest import Manifest, load_manifests
from shards.reader import Dataset, Shard
from shards.sample.encodings import read_npy_header
from shards.sample.modalities import Modality, streamed_rows

__all__ = [
    "LATENTS_FILE",
    "Latents",
    "LatentsInfo",
    "decode_moments",
    "encode_members",
    "folder_name",
    "latents_member",
    "latents_rows",
    "open_for_encoding",
    "open_latents",
    "read_latents_info",
    "sidecars_of",
]

# Version 1 had other names of members; version 2 took the background from what was `reference`.
_SCHEMA = 3
LATENTS_FILE = "latents.json"


@dataclass(frozen=True, kw_only=True)
class LatentsInfo:
    """What `latents.json` says.

    `vae_sha256`  the VAE, as `VAEIdentity` tells it (`idol/encoders/vae_identity.py`).
    `size`        height and width, in pixels, that images were scaled to before the VAE.
    `channels`    C of a latent; `factor`: pixels of an image's side for one of its latent's.
    `precision`   in which the VAE ran: float32, float16 or bfloat16.
    """

    vae_sha256: str
    size: int
    channels: int
    factor: int
    precision: str

    @property
    def folder(self) -> str:
        """The folder's name in the dataset."""
        return folder_name(self.vae_sha256, self.size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(2C, h, w) of an image's moments: the means, then the logarithms of the variances."""
        side = self.size // self.factor
        return 2 * self.channels, side, side

    def fingerprint(self, source: Manifest) -> str:
        """What the manifest of a shard of latents bears: the encoding and the shard encoded."""
        return sha256(canonical_json({"latents": asdict(self), "source": source.sha256}))


@dataclass(frozen=True)
class Latents:
    """One folder of latents in the dataset at `root`, opened.

    `manifests` by split and index, one for each shard of the dataset; a BadManifest says why a
    shard of latents does not exist.
    """

    root: Store
    info: LatentsInfo
    manifests: Mapping[tuple[str, int], Manifest | BadManifest]


def folder_name(vae_sha256: str, size: int) -> str:
    """The folder of a VAE's latents of images of a size, in a dataset."""
    return f"latents-{vae_sha256[:12]}-{size}"


def read_latents_info(store: Store) -> LatentsInfo | None:
    """What a folder's `latents.json` says; None without one. Raises ShardsError if damaged."""
    data = store.read_if_there(LATENTS_FILE)
    if data is None:
        return None
    try:
        value = parse_json(data)
        schema = value.pop("schema")
        if schema > _SCHEMA:
            raise ShardsError(
                f"{store.url(LATENTS_FILE)}: is of a newer version: upgrade idol-video"
            )
        if schema < _SCHEMA:
            raise OldSchema(
                f"{store.url(LATENTS_FILE)}: has schema {schema}, this version reads {_SCHEMA}: "
                "delete the folder and run `idol-prep encode` again"
            )
        info = LatentsInfo(**value)
        if any(type(value[f.name]).__name__ != f.type for f in fields(info)):
            raise ValueError("a field of another type")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ShardsError(
            f"{store.url(LATENTS_FILE)}: is damaged ({error}): "
            "delete it and run `idol-prep encode` again"
        ) from error
    return info


def list_latents(root: Store) -> dict[str, LatentsInfo]:
    """All latents of a dataset, by their folders' names. Raises ShardsError for damaged ones."""
    found = {}
    for name, is_folder in root.list().items():
        if is_folder and is_latents_folder(name):
            info = read_latents_info(root.folder(name))
            if info is not None:
                found[name] = info
    return found


def open_for_encoding(root: Store, info: LatentsInfo) -> Store:
    """The folder to write latents to, new or of the same encoding.

    Raises RecipeMismatch, naming what differs, for one of another encoding.
    """
    store = root.folder(info.folder)
    old = read_latents_info(store)
    if old is None:
        store.write_bytes(
            LATENTS_FILE, canonical_json({"schema": _SCHEMA, **asdict(info)}, indent=2)
        )
        return store
    there, here = asdict(old), asdict(info)
    differing = [name for name in here if there[name] != here[name]]
    if differing:
        raise RecipeMismatch(
            f"{store.url()}: holds latents of another encoding:\n"
            + "".join(f"  {n}: {there[n]} there, {here[n]} here\n" for n in differing)
            + "Encode as they were, or delete that folder."
        )
    return store


def open_latents(dataset: Dataset, wanted: str | bool, root: Store | None = None) -> Latents:
    """The latents of a dataset, by their folder's name, or with True the only ones.

    Args:
        root: where they are, if not beside the dataset's splits.

    Raises LatentsMissing, saying how they are made.
    """
    places = {_place(shard): None for shard in dataset.shards}
    root = root or _root(dataset.shards[0])
    info = _choose(root, wanted)
    manifests = load_manifests(root.folder(info.folder), places)
    return Latents(root, info, dict(zip(places, manifests, strict=True)))


def sidecars_of(latents: Latents, shards: Sequence[Shard]) -> list[Shard]:
    """The shard of latents of each of a dataset's shards.

    Raises LatentsMissing when some are absent or outdated.
    """
    store = latents.root.folder(latents.info.folder)
    found, absent, outdated = [], [], []
    for shard in shards:
        split, _ = place = _place(shard)
        manifest = latents.manifests[place]
        if isinstance(manifest, BadManifest):
            absent.append(shard.url)
        elif manifest.fingerprint != latents.info.fingerprint(shard.manifest):
            outdated.append(shard.url)
        else:
            found.append(Shard(store, f"{split}/{manifest.tar}", manifest))
    for urls, what in ((absent, "have no latents"), (outdated, "changed since")):
        if urls:
            raise LatentsMissing(
                f"{store.url()}: {len(urls)} of {len(shards)} shards {what}, such as {urls[0]}: "
                f"{_make(latents.root, latents.info.folder)}"
            )
    return found


def _root(shard: Shard) -> Store:
    """The root of the dataset that a shard is in, be it opened there or in its split's folder."""
    if "/" in shard.name:
        return shard.store
    return Store(shard.store.fs, shard.store.root.rpartition("/")[0])


def _place(shard: Shard) -> tuple[str, int]:
    """Its split, and its index."""
    folder = shard.name.rpartition("/")[0] or shard.store.root.rpartition("/")[2]
    return shard.manifest.split or folder, shard.manifest.index


def _choose(root: Store, wanted: str | bool) -> LatentsInfo:
    """The latents of a dataset by their folder's name, or with True the only ones.

    Raises LatentsMissing, saying how they are made.
    """
    found = list_latents(root)
    if isinstance(wanted, str):
        if wanted in found:
            return found[wanted]
        others = f"; there are {', '.join(found)}, of another VAE or size" if found else ""
        raise LatentsMissing(f"{root.url()}: has no {wanted}{others}: {_make(root, wanted)}")
    if not found:
        raise LatentsMissing(f"{root.url()}: has no cached latents: {_make(root)}")
    if len(found) > 1:
        raise LatentsMissing(f"{root.url()}: has several latents: name one of {', '.join(found)}")
    return next(iter(found.values()))


def _make(root: Store, folder: str | None = None) -> str:
    size = f" --size {folder.rpartition('-')[2]}" if folder else ""
    return f"make them by `idol-prep encode {root.url()} --base FOLDER{size}`"


# Ours is 128 bytes; a header that claims more is not one of ours.
_HEADER = 512


def latents_rows() -> dict[str, Modality]:
    """By the names of all latents that a clip may have, the rows of the table that they are of."""
    return {f"{row.name}_latents": row for row, streamed in streamed_rows() if streamed.latents}


def latents_member(key: str, name: str) -> str:
    """Name of the member with a modality's latents."""
    return f"{key}.{name}.npy"


def encode_members(
    key: str, info: Mapping[str, Any], moments: Mapping[str, np.ndarray]
) -> list[tuple[str, bytes]]:
    """`(name, bytes)` of a sample's members; `info` is the clip's json, `moments` by name."""
    about = {name: info[name] for name in ("frame_indices", "split", "video") if name in info}
    members = [(f"{key}.json", canonical_json({"key": key, **about}))]
    for name, array in moments.items():
        file = io.BytesIO()
        np.lib.format.write_array(
            file, np.ascontiguousarray(array, "<f2"), version=(1, 0), allow_pickle=False
        )
        members.append((latents_member(key, name), file.getvalue()))
    return sorted(members)


def decode_moments(
    name: str, data: bytes | memoryview | None, shape: tuple[int, ...]
) -> np.ndarray:
    """The array in a member, a view of its bytes: float16 of this shape.

    Raises BadSample, naming the member, if it is missing, damaged or another's.
    """
    if data is None:
        raise BadSample(f"{name}: missing")
    head = io.BytesIO(bytes(data[:_HEADER]))
    try:
        found, fortran, dtype = read_npy_header(head)
    except ValueError as error:
        raise BadSample(f"{name}: {error}") from error
    if dtype != np.dtype("<f2") or fortran or found != shape:
        raise BadSample(f"{name}: holds {dtype}{found}, not float16{shape}")
    body = memoryview(data)[head.tell() :]
    if len(body) != 2 * int(np.prod(shape, dtype=object)):
        raise BadSample(f"{name}: holds {len(body)} bytes of data, not those of shape {shape}")
    return np.frombuffer(body, "<f2").reshape(shape)
