"""A clip to the members of a sample, and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shards.errors import BadSample
from shards.files.digest import MOST_CLIP_JSON, canonical_json, parse_json
from shards.sample.clip import Clip
from shards.sample.keys import check_key
from shards.sample.modalities import (
    JSON,
    MODALITIES,
    Modality,
    member_name,
    parse_suffix,
    split_name,
)

__all__ = ["Members", "check_member", "decode_arrays", "decode_clip", "decode_info", "encode_clip"]

Members = Sequence[tuple[str, bytes]]


def encode_clip(clip: Clip) -> list[tuple[str, bytes]]:
    """The members of a clip's sample, `(name, bytes)`, sorted by name; equal clips, equal bytes.

    `rgb`, `reference` and `background` are JPEGs and lose a little; `depth_person` is kept to
    7.5e-4 and `depth_frame` to 1e-5; all else is exact.
    Raises ValueError when the key or `clip.info` cannot be stored.
    """
    key = check_key(clip.key)
    if clip.info.get("key", key) != key:
        raise ValueError(f"clip {key}: its info names another key, {clip.info['key']!r}")
    try:
        members = [(member_name(key, JSON), canonical_json({**clip.info, "key": key}))]
    except (TypeError, ValueError) as error:
        raise ValueError(f"clip {key}: info is not plain JSON: {error}") from error
    for name, array in clip.arrays.items():
        row = MODALITIES[name]
        stored = row.encoding.to_stored(array)
        if row.files == "frames":
            members += [
                (member_name(key, name, t), row.encoding.write(frame))
                for t, frame in enumerate(stored)
            ]
        else:
            members.append((member_name(key, name), row.encoding.write(stored)))
    return sorted(members)


def decode_clip(
    members: Members,
    *,
    modalities: Iterable[str] | None = None,
    frames: Sequence[int] | None = None,
) -> Clip:
    """The clip of a sample's members, or a part of it.

    `modalities`: the arrays wanted (`rgb` always comes along), all by default; `frames`: which
    frames, counted within the clip, in the order wanted. `clip.info` stays that of the whole clip.
    Raises BadSample, naming the member, when anything asked for is missing or damaged.
    """
    info = decode_info(members)
    wanted = None if modalities is None else {"rgb", *modalities}
    arrays = decode_arrays(members, modalities=wanted, frames=frames)
    if "rgb" not in arrays:
        raise BadSample(f"{info['key']}: has no rgb frames")
    try:
        return Clip.of(info["key"], arrays, info)
    except ValueError as error:
        raise BadSample(str(error)) from error


def decode_info(members: Members) -> dict[str, Any]:
    """What `{key}.json` says; `key` and `frame_indices` are always there. Raises BadSample."""
    key = _key_of(members)
    name = member_name(key, JSON)
    data = dict(members).get(name)
    if data is None:
        raise BadSample(f"{key}: has no json member")
    try:
        info = parse_json(data, limit=MOST_CLIP_JSON)
    except ValueError as error:
        raise BadSample(f"{name}: is not JSON ({error})") from error
    if not isinstance(info, dict) or info.get("key") != key:
        raise BadSample(f"{name}: does not name its key, {key!r}")
    indices = info.get("frame_indices")
    if not isinstance(indices, list) or not indices:
        raise BadSample(f"{name}: frame_indices is missing or empty")
    if not all(type(i) is int and i >= 0 for i in indices):
        raise BadSample(f"{name}: frame_indices are not all whole numbers from 0 up")
    return info


def check_member(name: str, data: bytes) -> None:
    """Decode a member, if it is one of a modality or the json. Raises BadSample, naming it."""
    parsed = parse_suffix(split_name(name)[1])
    if parsed is None:
        return
    if parsed[0] != JSON:
        MODALITIES[parsed[0]].read(name, data)
        return
    try:
        parse_json(data, limit=MOST_CLIP_JSON)
    except ValueError as error:
        raise BadSample(f"{name}: is not JSON ({error})") from error


def decode_arrays(
    members: Members,
    *,
    modalities: Iterable[str] | None = None,
    frames: Sequence[int] | None = None,
) -> dict[str, np.ndarray]:
    """Arrays by modality, shaped as in `Clip`, of the modalities and frames asked for (or all).

    Raises BadSample, naming the member, when one is missing, damaged or of another shape.
    """
    key = _key_of(members)
    found: dict[str, dict[int | None, tuple[str, bytes]]] = {}
    for name, data in members:
        parsed = parse_suffix(split_name(name)[1])
        if parsed is not None and parsed[0] != JSON:
            found.setdefault(parsed[0], {})[parsed[1]] = (name, data)
    wanted = list(MODALITIES) if modalities is None else list(modalities)
    if unknown := sorted(set(wanted) - set(MODALITIES)):
        known = ", ".join(MODALITIES)
        raise ValueError(f"no such modality: {', '.join(unknown)}; there are {known}")
    if modalities is None:
        wanted = [name for name in wanted if name in found]
    count = len(decode_info(members)["frame_indices"])
    picked = range(count) if frames is None else [_frame(f, count, key) for f in frames]
    arrays = {}
    for modality in wanted:
        files = found.get(modality)
        if files is None:
            raise BadSample(f"{key}: has no {modality}")
        row = MODALITIES[modality]
        if row.files == "frames":
            if frames is None and len(files) != count:
                raise BadSample(f"{key}: {len(files)} frames of {modality}, json says {count}")
            array = _stack(key, row, files, picked)
        else:
            array = row.read(*files[None])
            if row.files == "whole":
                if len(array) != count:
                    raise BadSample(f"{files[None][0]}: {len(array)} frames, json says {count}")
                array = array[list(picked)]
        arrays[modality] = row.encoding.from_stored(array)
    return arrays


def _stack(
    key: str,
    row: Modality,
    files: Mapping[int | None, tuple[str, bytes]],
    picked: Sequence[int],
) -> np.ndarray:
    frames: list[np.ndarray] = []
    for t in picked:
        if t not in files:
            raise BadSample(f"{member_name(key, row.name, t)}: missing")
        frame = row.read(*files[t])
        if frames and frame.shape != frames[0].shape:
            raise BadSample(f"{files[t][0]}: shape {frame.shape}, not {frames[0].shape}")
        frames.append(frame)
    return np.stack(frames)


def _frame(frame: int, count: int, key: str) -> int:
    if not 0 <= frame < count:
        raise ValueError(f"{key}: no frame {frame}; the clip has frames 0 to {count - 1}")
    return frame


def _key_of(members: Members) -> str:
    return split_name(members[0][0])[0] if members else "(empty sample)"
