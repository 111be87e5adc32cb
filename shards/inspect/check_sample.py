"""What can be wrong with one sample, found by decoding all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shards.describe import describe_sample
from shards.errors import BadSample
from shards.manifest import Sample
from shards.sample.codec import Members, decode_info
from shards.sample.modalities import JSON, MODALITIES, member_name, parse_suffix, split_name

__all__ = ["sample_faults"]


def sample_faults(sample: Sample, members: Members, split: str = "") -> Iterator[str]:
    """Everything wrong with a sample, one line each; `sample` is what its manifest says of it.

    Every member decodes; each modality has every frame; shapes agree with each other and with the
    json; values are those that the modality's encoding can have; the manifest's entry is what the
    sample gives.
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
                array = MODALITIES[modality].read(name, data)
            except BadSample as error:
                yield str(error)
                continue
            if MODALITIES[modality].encoding.is_image:
                shape = shape or array.shape[:2]
                if array.shape[:2] != shape:
                    yield f"{name}: is {_size(array.shape)}, not {_size(shape)}"
            if MODALITIES[modality].files == "whole" and len(array) != count:
                yield f"{name}: has {len(array)} frames, json says {count}"
            for what in MODALITIES[modality].encoding.faults(array):
                yield f"{name}: {what}"
    if "rgb" not in found:
        yield f"{sample.key}: has no rgb frames"
    for modality, frames in found.items():
        if MODALITIES[modality].files == "frames":
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
