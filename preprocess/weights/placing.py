"""Putting a fetched file in its place: only when it is the right one, and all of it at once."""

from __future__ import annotations

from pathlib import Path

from preprocess.external_file import ExternalFile
from preprocess.weights import checksums
from preprocess.weights.lookalikes import what_else
from preprocess.weights.verify import digests_of, wrong_checksum
from shards.files.atomic import publish

__all__ = ["Wrong", "place"]


class Wrong(Exception):
    """The fetched file is not the one wanted; the message says how it is known."""


def place(
    new: Path,
    entry: ExternalFile,
    root: Path,
    *,
    served: str | None = None,
    revision: str | None = None,
) -> None:
    """Move `new`, which lies on the same disk, to the entry's place, and record its checksum.

    `served` is the SHA-256 that the server itself gave, `revision` the commit it served.

    Raises Wrong when it is not what is stated, served, or was recorded before; `new` stays.
    """
    if other := what_else(new):
        raise Wrong(f"is {other}")
    size = new.stat().st_size
    if entry.bytes not in (None, size):
        raise Wrong(f"has {size} bytes, not {entry.bytes}")
    digests = digests_of(new, (c.algorithm for c in entry.stated))
    sha256 = digests["sha256"]
    if wrong := wrong_checksum(entry, digests):
        raise Wrong(f"is not the right one: {wrong}")
    if served not in (None, sha256):
        raise Wrong(
            f"was damaged on its way: its sha256 is {sha256}, not {served} as its server says"
        )
    recorded = checksums.read(root).get(entry.name)
    if entry.sha256 is None and recorded and recorded.sha256 != sha256:
        raise Wrong(
            f"is not the one that was here before: its sha256 is {sha256}, not {recorded.sha256}. "
            f"To take it, run `idol-prep weights accept {entry.name}` and fetch again"
        )
    new.chmod(0o644)
    target = root / entry.name
    publish(new, target)
    status = target.stat()
    checksums.record(
        root,
        entry.name,
        checksums.Recorded(sha256, size, status.st_mtime_ns, entry.source.label, revision),
    )
