"""Clips that are made while their shard is not complete: a build that is stopped loses none.

They lie in `{dataset}/.waiting/{fingerprint}/{split}-{shard}/`, where whoever makes them has put
them, on whatever machine: a small tar for each group, named by the clips' places in the shard and
by its checksum. Whoever commits the shard reads them from there; they are removed with the commit.
"""

import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shards.errors import ShardsError
from shards.files.digest import sha256
from shards.files.storage import WAITING, Store
from shards.files.tars import TarWriter, members_of
from shards.manifest import shard_name
from shards.sample.codec import Members
from shards.sample.modalities import split_name

__all__ = ["ClipsLost", "WaitingClips"]

_SHARD = shard_name(0).rstrip("0")
_MOST = 10_000  # clips in a file
_NAME = re.compile(r"([0-9_-]+)\.([0-9a-f]{64})\.tar")


class ClipsLost(ShardsError):
    """Clips that waited for their shard are gone or damaged, as after a power cut: they have to be
    made again."""


@dataclass(frozen=True)
class WaitingClips:
    """The clips of a dataset that wait for their shards. `fingerprint` is that of its recipe."""

    dataset: Store
    fingerprint: str

    def keep(self, split: str, shard: int, clips: Mapping[int, Members]) -> None:
        """Write clips aside, by their places in the shard. Raises StorageError."""
        buffer = io.BytesIO()
        tar = TarWriter(buffer)
        for _, members in sorted(clips.items()):
            for name, data in members:
                tar.add(name, data)
        data = buffer.getvalue()
        # A power cut may leave a file that does not have the checksum in its name.
        name = f"{_ranges(sorted(clips))}.{sha256(data)}.tar"
        self.dataset.write_bytes(f"{self._folder(split, shard)}/{name}", data, flushed=False)

    def find_all(self) -> dict[tuple[str, int], frozenset[int]]:
        """Places of the clips that were kept, by split and shard, as the files' names tell."""
        found = {}
        for name in self.dataset.list(f"{WAITING}/{self.fingerprint}"):
            split, _, index = name.rpartition(f"-{_SHARD}")
            if split and index.isdecimal():
                found[split, int(index)] = self.find(split, int(index))
        return found

    def find(self, split: str, shard: int) -> frozenset[int]:
        """Places of one shard's clips that were kept, in one request."""
        return frozenset(place for _, places in self._files(split, shard) for place in places)

    def read(
        self, split: str, shard: int, keys: Sequence[str], places: Collection[int]
    ) -> Iterator[tuple[str, Members]]:
        """The clips at these places, in order; `keys` are those of all clips of the shard.

        Each file is read once, and held until the last of its clips has been given. Raises
        ClipsLost where one is not there whole, and then forgets all that is damaged.
        """
        holding = {place: name for name, held in self._files(split, shard) for place in held}
        clips: dict[str, Members] = {}
        read: set[str] = set()
        for place in sorted(places):
            key = keys[place]
            if key not in clips and (name := holding.get(place)) and name not in read:
                read.add(name)
                clips |= self._read(split, shard, name) or {}
            if key not in clips:
                self._forget_damaged(split, shard, keys)
                raise ClipsLost(f"clips that waited for {split}/{shard_name(shard)} are damaged")
            yield key, clips.pop(key)

    def drop(self, split: str, shard: int) -> None:
        """Forget a shard's clips, once they are in its tar."""
        self.dataset.remove_folder(self._folder(split, shard))

    def drop_all(self) -> None:
        """Forget all clips, of other recipes too, once the dataset is complete."""
        self.dataset.remove_folder(WAITING)

    def _files(self, split: str, shard: int) -> Iterator[tuple[str, list[int]]]:
        for name in self.dataset.list(self._folder(split, shard)):
            if match := _NAME.fullmatch(name):
                yield name, _places(match[1])

    def _read(self, split: str, shard: int, name: str) -> dict[str, Members] | None:
        """The clips in a file by key; None unless it is there and whole."""
        data = self.dataset.read_if_there(f"{self._folder(split, shard)}/{name}")
        if data is None or not name.endswith(f".{sha256(data)}.tar"):
            return None
        try:
            members = members_of(data, label=name)
        except ShardsError:
            return None  # made by another version: its clips are made again
        clips: dict[str, list[tuple[str, bytes]]] = {}
        for member, content in members.items():
            clips.setdefault(split_name(member)[0], []).append((member, bytes(content)))
        return dict(clips.items())

    def _forget_damaged(self, split: str, shard: int, keys: Sequence[str]) -> None:
        for name, places in list(self._files(split, shard)):
            clips = self._read(split, shard, name) or {}
            if clips.keys() != {keys[place] for place in places if place < len(keys)}:
                self.dataset.remove(f"{self._folder(split, shard)}/{name}")

    def _folder(self, split: str, shard: int) -> str:
        return f"{WAITING}/{self.fingerprint}/{split}-{shard_name(shard)}"


def _ranges(places: Sequence[int]) -> str:
    """`0-3_7` for 0, 1, 2, 3 and 7."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return "_".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs)


def _places(ranges: str) -> list[int]:
    """What `_ranges` was given; none for what it did not make."""
    places: list[int] = []
    for run in ranges.split("_"):
        first, _, last = run.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            return []
        places += range(int(first), min(int(last or first), int(first) + _MOST) + 1)
    return places
