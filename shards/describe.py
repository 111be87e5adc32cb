"""Samples in short for manifests, and manifests in sum for a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shards.manifest import Manifest, Sample
from shards.sample.modalities import parse_suffix, split_name

__all__ = ["count_totals", "describe_sample"]


def describe_sample(
    key: str, info: Mapping[str, Any], sizes: Mapping[str, int], offset: int, length: int
) -> Sample:
    """The manifest's entry of a sample.

    `info`: its json, of which nothing is required (another's tar may have none); `sizes`: bytes by
    member's name; `offset`, `length`: its range in the tar. Fields of other types than ours count
    as not said.
    """
    by_modality: dict[str, int] = {}
    for name, size in sizes.items():
        suffix = split_name(name)[1]
        parsed = parse_suffix(suffix)
        modality = suffix if parsed is None else parsed[0]
        by_modality[modality] = by_modality.get(modality, 0) + size
    width, height = _pair(info.get("size"))
    keypoints = info.get("keypoints")
    scores = keypoints.get("mean_score") if isinstance(keypoints, dict) else None
    indices = info.get("frame_indices")
    return Sample(
        key=key,
        offset=offset,
        length=length,
        sizes=dict(sorted(by_modality.items())),
        frames=len(indices) if isinstance(indices, list) else 0,
        video=_typed(info.get("video"), str),
        first_frame=_typed(info.get("first_frame"), int),
        fps=_typed(info.get("fps"), int, float),
        width=width,
        height=height,
        person_coverage=_mean(info.get("person_frames")),
        keypoint_score=_mean(scores),
    )


def count_totals(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Shards, clips, frames, videos, quarantined clips, tar bytes; and by split in `splits`."""

    def count(chosen: Sequence[Manifest]) -> dict[str, Any]:
        samples = [sample for manifest in chosen for sample in manifest.samples]
        return {
            "shards": len(chosen),
            "clips": len(samples),
            "frames": sum(sample.frames for sample in samples),
            "videos": len({sample.video for sample in samples}),
            "quarantined": sum(len(manifest.quarantined) for manifest in chosen),
            "bytes": sum(manifest.bytes for manifest in chosen),
        }

    splits = sorted({manifest.split for manifest in manifests})
    by_split = {split: count([m for m in manifests if m.split == split]) for split in splits}
    return {**count(manifests), "splits": by_split}


def _typed(value: Any, *kinds: type) -> Any:
    return value if type(value) in kinds else None


def _pair(size: Any) -> tuple[int | None, int | None]:
    if isinstance(size, list) and len(size) == 2:
        return _typed(size[0], int), _typed(size[1], int)
    return _typed(size, int), _typed(size, int)


def _mean(values: Any) -> float | None:
    numbers = [v for v in values if isinstance(v, int | float)] if isinstance(values, list) else []
    return round(sum(numbers) / len(numbers), 6) if numbers else None
