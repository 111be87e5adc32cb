"""What is stored of a clip: its frames' moments, one array a modality.

{key}.json                     key, and the clip's frame_indices
{key}.rgb_latents.npy          (T, 2C, h, w) float16; pose_latents, depth_person_latents and
                               depth_frame_latents likewise
{key}.background_latents.npy   (2C, h, w) float16

Moments are the means of the VAE's posterior, then the logarithms of its variances, unscaled.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from shards.errors import BadSample
from shards.files.canonical import canonical_json
from shards.sample.modalities import streamed_rows

__all__ = ["BACKGROUND", "decode_moments", "encode_members", "latents_member", "latents_names"]

BACKGROUND = "background_latents"

# Ours is 128 bytes; a header that claims more is not one of ours.
_HEADER = 512


def latents_names() -> tuple[str, ...]:
    """Names of all latents that a clip may have: of the table's modalities, and the background."""
    rows = streamed_rows()
    return (*(f"{row.name}_latents" for row, streamed in rows if streamed.latents), BACKGROUND)


def latents_member(key: str, name: str) -> str:
    """Name of the member with a modality's latents."""
    return f"{key}.{name}.npy"


def encode_members(
    key: str, info: Mapping[str, Any], moments: Mapping[str, np.ndarray]
) -> list[tuple[str, bytes]]:
    """`(name, bytes)` of a sample's members; `info` is the clip's json, `moments` by name."""
    about = {name: info[name] for name in ("frame_indices", "split", "video") if name in info}
    members = [(f"{key}.json", canonical_json({"key": key, **about}))]
    for name, array in moments.items():
        file = io.BytesIO()
        np.lib.format.write_array(
            file, np.ascontiguousarray(array, "<f2"), version=(1, 0), allow_pickle=False
        )
        members.append((latents_member(key, name), file.getvalue()))
    return sorted(members)


def decode_moments(
    name: str, data: bytes | memoryview | None, shape: tuple[int, ...]
) -> np.ndarray:
    """The array in a member, a view of its bytes: float16 of this shape.

    Raises BadSample, naming the member, if it is missing, damaged or another's.
    """
    if data is None:
        raise BadSample(f"{name}: missing")
    head = io.BytesIO(bytes(data[:_HEADER]))
    try:
        np.lib.format.read_magic(head)
        found, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    except (ValueError, SyntaxError, TypeError) as error:
        raise BadSample(f"{name}: not an npy array ({error})") from error
    if dtype != np.dtype("<f2") or fortran or found != shape:
        raise BadSample(f"{name}: holds {dtype}{found}, not float16{shape}")
    body = memoryview(data)[head.tell() :]
    if len(body) != 2 * int(np.prod(shape, dtype=object)):
        raise BadSample(f"{name}: holds {len(body)} bytes of data, not those of shape {shape}")
    return np.frombuffer(body, "<f2").reshape(shape)
