"""`manifests.gz`: all manifests of a complete dataset in one file, for readers that are far away.

A thousand shards are a thousand requests to an object store; with this file they are one. It says
nothing of its own: a shard whose manifest has another size than it says is asked for itself, and a
dataset that is being built, which has no such file yet or an old one, has all of them asked for.
"""

import gzip
import io
import zlib
from collections.abc import Mapping

from shards.files.digest import canonical_json, parse_json
from shards.files.storage import Store
from shards.manifest import Manifest, manifest_bytes

__all__ = ["COLLECTED", "Collector", "read_collected"]

COLLECTED = "manifests.gz"


class Collector:
    """Manifests as they come, in the order of split and shard; equal ones give equal bytes."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._lines = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=6, mtime=0)

    def add(self, manifest: Manifest) -> None:
        data = manifest_bytes(manifest)
        head = [manifest.split, manifest.index, len(data)]
        self._lines.write(canonical_json(head) + canonical_json(parse_json(data)))  # a line each

    def bytes(self) -> bytes:
        """The file; nothing can be added any more."""
        self._lines.close()
        return self._file.getvalue()


def read_collected(store: Store, most: int) -> Mapping[tuple[str, int], tuple[int, bytes]]:
    """By `(split, index)`: the size of a manifest's file, and the same JSON; by one request.

    `most` are the bytes of all manifests that are there: no more than twice as many are unpacked,
    for what is said of each is shorter than the manifest. Empty where there is no such file, or
    one that is damaged: each manifest can be asked for.
    """
    data = store.read_if_there(COLLECTED)
    if data is None:
        return {}
    try:
        unpacking = zlib.decompressobj(wbits=31)  # gzip's
        lines = unpacking.decompress(data, 2 * max(1, most)).splitlines()
        if not unpacking.eof:
            return {}
        found = {}
        for head, manifest in zip(lines[::2], lines[1::2], strict=True):
            split, index, size = parse_json(head)
            found[str(split), int(index)] = int(size), manifest
    except (zlib.error, ValueError, TypeError):
        return {}
    return found
