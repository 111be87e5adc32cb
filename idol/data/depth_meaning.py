"""What the depth of a run's clips means, for those who will read the depth that a model makes."""

from collections.abc import Iterator, Mapping
from typing import Any

from idol.data.datasets import DataError, Datasets
from idol.model_info import DepthMeaning, ModelInfo
from shards.reader import Entry, read_sample
from shards.sample.codec import decode_info
from shards.sample.traces import depth_said
from shards.stream.request import DEPTH_SCORES

__all__ = ["check_depth_scores", "clip_infos", "depth_meaning", "other_depth"]

# At most so many clips of a dataset are read, spread over it.
_CLIPS = 64
_METRES = "metres"


def depth_meaning(data: Datasets) -> DepthMeaning:
    """Whose depth it is, in which unit, and the range in metres if all clips have the same one.

    It is read from the clips' own jsons. Where units differ, none is known; a model of video alone
    learns none.

    Raises:
        DataError: some clips have grey that is white near by and others black: a model of both
            would learn neither.
        ShardsError: a clip cannot be read.
    """
    kind = data.config.data.depth
    if data.config.model.streams == "video":  # its depth is estimated from its frames
        return DepthMeaning()
    if data.config.stage == "pretrain":
        return DepthMeaning(kind=kind)
    near_white, units, ranges = set(), set(), set()
    for described in _descriptions(data, f"depth_{kind}"):
        near_white.add(described.get("grey") == "near-white")
        unit = described.get("unit")
        units.add(unit if isinstance(unit, str) else None)
        if described.get("near") is not None:  # else nobody is in it
            numbers = tuple(described.get(name) for name in ("near", "far", "far_at"))
            whole = all(isinstance(number, int | float) for number in numbers)
            ranges.add(numbers if whole else None)
    if len(near_white) > 1:
        raise DataError(
            "depth_frame is near-white in some clips and near-black in others, and a model of both "
            "would learn neither: build all with the same --grey"
        )
    unit = units.pop() if len(units) == 1 else None
    metric = unit is not None and unit.startswith(_METRES) and len(ranges) == 1
    near, far, far_at = (ranges.pop() if metric else None) or (None, None, None)
    return DepthMeaning(
        kind=kind,
        near_white=near_white == {True},
        unit=unit,
        near=near,
        far=far,
        far_at=far_at,
    )


def check_depth_scores(data: Datasets) -> None:
    """Raise DataError where the run weighs depth by scores and clips' jsons have none."""
    if DEPTH_SCORES not in data.request.modalities:
        return
    modality = f"depth_{data.config.data.depth}"
    for info in clip_infos(data):
        if "scores" not in depth_said(info, modality):
            raise DataError(
                f"--depth-scores: the json of clip {info.get('key')} has no scores of {modality} "
                "(depth, scores), and no annotator of this project writes any: leave it out"
            )


def other_depth(before: ModelInfo, depth: DepthMeaning) -> str | None:
    """What a run is told that goes on with a model of another depth; None where it is the same.

    Args:
        before: of the model that it starts from; `depth`: of the run's clips.
    """
    if before.stage == "pretrain" or _kind(before.depth) == _kind(depth):
        return None
    return (
        f"--init-from learnt depth of {_kind(before.depth)}, and these clips have depth of "
        f"{_kind(depth)}: it is learnt anew"
    )


def _kind(depth: DepthMeaning) -> str:
    grey = "white" if depth.near_white else "black"
    return "the person" if depth.kind == "person" else f"the whole frame, near is {grey}"


def _descriptions(data: Datasets, modality: str) -> Iterator[Mapping[str, Any]]:
    """What jsons say of a depth, a few of each dataset."""
    for info in clip_infos(data):
        if described := depth_said(info, modality):
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
