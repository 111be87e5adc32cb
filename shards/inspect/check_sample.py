"""What can be wrong with one sample, found by decoding all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from shards.describe import describe_sample
from shards.errors import BadSample
from shards.manifest import Sample
from shards.sample.arrays import is_hot, member_to_array
from shards.sample.codec import Members, decode_info
from shards.sample.members import JSON, KINDS, member_name, parse_suffix, split_name

__all__ = ["sample_faults"]


def sample_faults(sample: Sample, members: Members, split: str = "") -> Iterator[str]:
    """Everything wrong with a sample, one line each; `sample` is what its manifest says of it.

    Every member decodes; each modality has every frame; shapes agree with each other and with the
    json; key points are finite with scores in [0, 1]; `hot` colours lie on the `hot` line; the
    manifest's entry is what the sample gives.
    """
    info: dict[str, Any] = {}
    try:
        info = decode_info(members)
    except BadSample as error:
        yield str(error)
    else:
        yield from _json_faults(info, split)
    yield from _entry_faults(sample, info, members)

    count = len(info["frame_indices"]) if info else sample.frames
    shape = _shape(info)
    found: dict[str, set[int | None]] = {}
    for name, data in members:
        key, suffix = split_name(name)
        parsed = parse_suffix(suffix)
        if key != sample.key:
            yield f"{name}: belongs to another sample"
        elif parsed is None:
            yield f"{name}: no such modality"
        elif parsed[0] != JSON:
            modality, frame = parsed
            if frame in found.setdefault(modality, set()):
                yield f"{name}: comes twice"
            found[modality].add(frame)
            try:
                array = member_to_array(modality, name, data)
            except BadSample as error:
                yield str(error)
                continue
            if modality == "keypoints":
                yield from _keypoint_faults(name, array, count)
                continue
            shape = shape or array.shape[:2]
            if array.shape[:2] != shape:
                yield f"{name}: is {_size(array.shape)}, not {_size(shape)}"
            if modality == "depth_person":
                yield from _hot_faults(name, array)
    if "rgb" not in found:
        yield f"{sample.key}: has no rgb frames"
    for modality, frames in found.items():
        if KINDS[modality].per_frame:
            numbers = {frame for frame in frames if frame is not None}
            if missing := set(range(count)) - numbers:
                yield f"{_span(sample.key, modality, missing)}: missing"
            if strangers := numbers - set(range(count)):
                yield f"{_span(sample.key, modality, strangers)}: json says {count} frames"


def _json_faults(info: dict[str, Any], split: str) -> Iterator[str]:
    indices = info["frame_indices"]
    for name in ("timestamps", "person_frames"):
        values = info.get(name)
        if values is not None and (not isinstance(values, list) or len(values) != len(indices)):
            yield f"json: {name} is not a list of {len(indices)}, one a frame"
    if sorted(set(indices)) != indices:
        yield "json: frame_indices do not rise"
    if split and info.get("split", split) != split:
        yield f"json: says split {info['split']!r}, but lies in {split!r}"


def _entry_faults(sample: Sample, info: dict[str, Any], members: Members) -> Iterator[str]:
    sizes = {name: len(data) for name, data in members}
    given = vars(describe_sample(sample.key, info, sizes, sample.offset, sample.length))
    for name, said in vars(sample).items():
        # Without a json only the sizes can be compared.
        if said != given[name] and (info or name == "sizes"):
            yield f"manifest: says {name} {said}, the sample gives {given[name]}"


def _keypoint_faults(name: str, keypoints: np.ndarray, count: int) -> Iterator[str]:
    if 0 in keypoints.shape[1:3]:
        yield f"{name}: has {keypoints.shape[1]} people of {keypoints.shape[2]} joints"
    if len(keypoints) != count:
        yield f"{name}: has {len(keypoints)} frames, json says {count}"
    if not np.isfinite(keypoints).all():
        yield f"{name}: {int((~np.isfinite(keypoints)).sum())} values are not finite"
    elif ((keypoints[..., 2] < 0) | (keypoints[..., 2] > 1)).any():
        yield f"{name}: scores are outside [0, 1]"


def _hot_faults(name: str, rgb: np.ndarray) -> Iterator[str]:
    if strangers := int((~is_hot(rgb)).sum()):
        yield f"{name}: {strangers} pixels are no colours of the hot map"


def _shape(info: dict[str, Any]) -> tuple[int, ...] | None:
    described = describe_sample("", info, {}, 0, 0)
    if described.width is None or described.height is None:
        return None
    return described.height, described.width


def _span(key: str, modality: str, frames: set[int]) -> str:
    """One line for any number of frames: a json may claim millions."""
    first = member_name(key, modality, min(frames))
    if len(frames) == 1:
        return first
    return f"{first} to {member_name(key, modality, max(frames))} ({len(frames)} frames)"


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
