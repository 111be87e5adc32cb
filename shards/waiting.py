"""Clips that are made while their shard is not complete: a build that is stopped loses none.

They lie in `{dataset}/.waiting/{fingerprint}/{split}-{shard}/`, a small tar for each group, and
are removed with the shard's commit.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass

from shards.errors import ShardsError
from shards.files.digest import sha256
from shards.files.storage import WAITING, Store
from shards.files.tars import TarWriter, read_members
from shards.manifest import shard_name
from shards.sample.codec import Members
from shards.sample.modalities import split_name

__all__ = ["WaitingClips"]

_SHARD = shard_name(0).rstrip("0")


@dataclass(frozen=True)
class WaitingClips:
    """The clips of a dataset that wait for their shards. `fingerprint` is that of its recipe."""

    dataset: Store
    fingerprint: str

    def keep(self, split: str, shard: int, samples: Iterable[tuple[str, Members]]) -> None:
        """Write clips aside. Raises StorageError."""
        buffer = io.BytesIO()
        tar = TarWriter(buffer)
        for _, members in samples:
            for name, data in members:
                tar.add(name, data)
        data = buffer.getvalue()
        # Its name is its checksum: a power cut may leave a file that is none.
        self.dataset.write_bytes(
            f"{self._folder(split, shard)}/{sha256(data)}.tar", data, flushed=False
        )

    def find_all(self) -> dict[tuple[str, int], dict[str, Members]]:
        """The clips that were kept and are whole, by split and shard, and by key."""
        found = {}
        for name in self.dataset.list(f"{WAITING}/{self.fingerprint}"):
            split, _, index = name.rpartition(f"-{_SHARD}")
            if split and index.isdecimal():
                found[split, int(index)] = self._find(f"{WAITING}/{self.fingerprint}/{name}")
        return found

    def _find(self, folder: str) -> dict[str, Members]:
        clips: dict[str, Members] = {}
        for name in self.dataset.list(folder):
            data = self.dataset.read_if_there(f"{folder}/{name}")
            if data is None or name != f"{sha256(data)}.tar":
                continue
            try:
                members = read_members(data, label=name)
            except ShardsError:
                continue  # made by another version: its clips are made again
            group: dict[str, list[tuple[str, bytes]]] = {}
            for member, content in members:
                group.setdefault(split_name(member)[0], []).append((member, content))
            clips |= group
        return clips

    def drop(self, split: str, shard: int) -> None:
        """Forget a shard's clips, once they are in its tar."""
        self.dataset.remove_folder(self._folder(split, shard))

    def drop_all(self) -> None:
        """Forget all clips, of other recipes too, once the dataset is complete."""
        self.dataset.remove_folder(WAITING)

    def _folder(self, split: str, shard: int) -> str:
        return f"{WAITING}/{self.fingerprint}/{split}-{shard_name(shard)}"
