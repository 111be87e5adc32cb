"""A manifest for a tar that has none, from its headers."""

from __future__ import annotations

from itertools import groupby

from shards.describe import describe_sample
from shards.errors import BadSample, BadTar
from shards.files.canonical import parse_json
from shards.files.storage import Store
from shards.files.tars import iter_headers
from shards.manifest import Manifest
from shards.sample.modalities import JSON, split_name

__all__ = ["scan_tar"]


def scan_tar(store: Store, name: str) -> Manifest:
    """What a manifest would say of the tar `name`, but for the checksum, which is left empty.

    Reads headers and json members alone. Raises BadTar when the tar is damaged or the members of
    a sample are apart, UnsafeMember for members that are no plain files, BadSample for bad json.
    """
    label = store.url(name)
    samples = []
    with store.open(name) as file:
        headers = list(iter_headers(file, label=label))
        for key, group in groupby(headers, lambda member: split_name(member.name)[0]):
            members = list(group)
            info = {}
            for member in members:
                if split_name(member.name)[1] == JSON:
                    file.seek(member.data_offset)
                    info = _parse(file.read(member.size), f"{label}: {member.name}")
            start, end = members[0].offset, members[-1].end
            sizes = {member.name: member.size for member in members}
            samples.append(describe_sample(key, info, sizes, start, end - start))
    if len({sample.key for sample in samples}) != len(samples):
        raise BadTar(f"{label}: members of a sample are apart; sort the tar by name to read it")
    return Manifest("", 0, store.size(name) or 0, "", tuple(samples))


def _parse(data: bytes, label: str) -> dict:
    try:
        value = parse_json(data)
    except ValueError as error:
        raise BadSample(f"{label}: is not JSON ({error})") from error
    return value if isinstance(value, dict) else {}
