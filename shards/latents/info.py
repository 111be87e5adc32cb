"""What a folder of latents says of itself, and how it is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from shards.dataset import is_latents_folder
from shards.errors import BadManifest, OldSchema, RecipeMismatch, ShardsError
from shards.files.canonical import canonical_json, parse_json
from shards.files.digest import sha256
from shards.files.storage import Store
from shards.manifest import Manifest

__all__ = [
    "FILE",
    "Latents",
    "LatentsInfo",
    "folder_name",
    "list_latents",
    "open_for_encoding",
    "read_latents_info",
]

# Version 1 had other names of members, those of datasets of schema 1.
SCHEMA = 2
FILE = "latents.json"


@dataclass(frozen=True, kw_only=True)
class LatentsInfo:
    """What `latents.json` says.

    `vae_sha256`  the VAE, as `identity.VAEIdentity` tells it.
    `size`        height and width, in pixels, that pictures were scaled to before the VAE.
    `channels`    C of a latent; `factor`: pixels of a picture's side for one of its latent's.
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
        """(2C, h, w) of a picture's moments: the means, then the logarithms of the variances."""
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
    """The folder of a VAE's latents of pictures of a size, in a dataset."""
    return f"latents-{vae_sha256[:12]}-{size}"


def read_latents_info(store: Store) -> LatentsInfo | None:
    """What a folder's `latents.json` says; None without one. Raises ShardsError if damaged."""
    if store.size(FILE) is None:
        return None
    try:
        value = parse_json(store.read(FILE))
        schema = value.pop("schema")
        if schema > SCHEMA:
            raise ShardsError(f"{store.url(FILE)}: is of a newer version: upgrade idol-video")
        if schema < SCHEMA:
            raise OldSchema(
                f"{store.url(FILE)}: has schema {schema}, this version reads {SCHEMA}: delete the "
                "folder and run `idol-prep encode` again"
            )
        info = LatentsInfo(**value)
        if any(type(value[f.name]).__name__ != f.type for f in fields(info)):
            raise ValueError("a field of another type")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ShardsError(
            f"{store.url(FILE)}: is damaged ({error}): delete it and run `idol-prep encode` again"
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
        store.write_bytes(FILE, canonical_json({"schema": SCHEMA, **asdict(info)}, indent=2))
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
