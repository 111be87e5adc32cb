"""`idol-shards extract`: a sample's members as files, safe against whoever made the tar."""

from __future__ import annotations

from pathlib import Path

from shards.errors import StorageError, UnsafeMember
from shards.files.storage import Store
from shards.reader import Entry, read_sample
from shards.sample.modalities import split_name

__all__ = ["extract_sample"]


def extract_sample(entry: Entry, folder: str | Path, *, force: bool = False) -> list[Path]:
    """Write a sample's members into a local folder, made if absent; their paths are returned.

    Nothing is written unless all may be: UnsafeMember for a member that is not a plain file of
    this sample, StorageError for one that is there already, unless `force`.
    """
    if "://" in str(folder):
        raise StorageError(f"{folder}: is no local folder; samples are extracted to a disk")
    target = Path(folder).expanduser()
    members = read_sample(entry)
    for name, _ in members:
        if split_name(name)[0] != entry.key:
            raise UnsafeMember(
                f"{entry.shard.url}: member {name!r} is not of sample {entry.key}; refused"
            )
    paths = [target / name for name, _ in members]
    taken = [path for path in paths if path.is_symlink() or path.exists()]
    if taken and not force:
        raise StorageError(f"{taken[0]}: is there already; --force writes over it")
    store = Store.at(target)
    for name, data in members:
        # Written aside and renamed, so that a link in the folder is replaced and not followed.
        store.write_bytes(name, data)
    return paths
