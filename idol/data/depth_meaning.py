"""What the depth of a run's clips means, for those who will read the depth that a model makes."""

from collections.abc import Iterator
from typing import Any

from idol.data.datasets import DataError, Datasets
from idol.model_info import DepthMeaning
from shards.reader import Entry, read_sample
from shards.sample.codec import decode_info

__all__ = ["clip_infos", "depth_meaning"]

# At most so many clips of a dataset are read, spread over it.
_CLIPS = 64
_METRES = "metres"


def depth_meaning(data: Datasets) -> DepthMeaning:
    """Whose depth it is, in which unit, and the range in metres if all clips have the same one.

    It is read from the clips' own jsons. Where units differ, none is known.

    Raises:
        DataError: some clips have grey that is white near by and others black: a model of both
            would learn neither.
        ShardsError: a clip cannot be read.
    """
    kind = data.config.data.depth
    if data.config.stage == "pretrain":
        return DepthMeaning(kind=kind)
    near_white, units, ranges = set(), set(), set()
    for described in _descriptions(data, f"depth_{kind}"):
        near_white.add(described.get("grey") == "near-white")
        units.add(described.get("unit"))
        if described.get("near") is not None:  # else nobody is in it
            ranges.add(tuple(described[name] for name in ("near", "far", "far_at")))
    if len(near_white) > 1:
        raise DataError(
            "depth_frame is near-white in some clips and near-black in others, and a model of both "
            "would learn neither: build all with the same --grey"
        )
    unit = units.pop() if len(units) == 1 else None
    metric = unit is not None and unit.startswith(_METRES) and len(ranges) == 1
    near, far, far_at = ranges.pop() if metric else (None, None, None)
    return DepthMeaning(
        kind=kind,
        near_white=near_white == {True},
        unit=unit,
        near=near,
        far=far,
        far_at=far_at,
    )


def _descriptions(data: Datasets, modality: str) -> Iterator[dict[str, Any]]:
    """What jsons say of a depth, a few of each dataset."""
    for info in clip_infos(data):
        described = info.get("depth", {}).get(modality)
        if described is not None:
            yield described


def clip_infos(data: Datasets) -> Iterator[dict[str, Any]]:
    """Jsons of clips, a few of each dataset. Raises ShardsError for one that cannot be read."""
    for dataset in data.mixture.datasets:
        entries = [
            Entry(shard, sample)
            for shard in dataset.shards_of()
            for sample in shard.manifest.samples
        ]
        for entry in entries[:: -(-len(entries) // _CLIPS)]:
            yield decode_info(read_sample(entry))
