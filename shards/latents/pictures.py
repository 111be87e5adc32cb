"""Which pictures of a clip are encoded: those that training would give to the VAE, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shards.errors import BadSample
from shards.manifest import Sample
from shards.sample.codec import decode_info
from shards.stream.catalogue import ClipEntry
from shards.stream.fill import fill_sample
from shards.stream.request import Depth, Modality, Request

__all__ = ["clip_pictures"]


def clip_pictures(
    sample: Sample, members: Mapping[str, memoryview]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The clip's json, and (N, H, W, 3) uint8 pictures by the name of their latents.

    N is the clip's frames, 1 for the background with its hole. Modalities that the clip does not
    have are left out. Raises BadSample, naming key or member.
    """
    if sample.width is None or sample.height is None:
        raise BadSample(f"{sample.key}: its json does not say its size")
    shape = (sample.height, sample.width)
    clip = ClipEntry(sample.key, sample.offset, sample.length, sample.frames)
    there = sample.sizes

    def filled(wanted: Modality, depth: Depth = "person") -> dict[str, np.ndarray]:
        request = Request(
            frames=sample.frames,
            modalities=frozenset({wanted}),
            depth=depth,
            cut="reference",
            max_frame_step=1,
            crop_area=(1.0, 1.0),
            mirror=0.0,
        )
        arrays = {name: np.empty(s, np.uint8) for name, s in request.shapes(*shape).items()}
        fill_sample(arrays, members, clip, request, None)
        return arrays

    pictures = {"rgb_latents": filled("rgb")["rgb"]}
    if there.get("pose"):
        pictures["pose_latents"] = filled("pose")["pose"]
    depths: tuple[Depth, ...] = ("person", "frame")
    for depth in depths:
        if there.get(f"depth_{depth}"):
            pictures[f"depth_{depth}_latents"] = filled("depth", depth)["depth"]
    if there.get("reference") and there.get("reference_mask"):
        pictures["background_latents"] = filled("reference")["background"][None]
    info = decode_info(
        [(name, bytes(data)) for name, data in members.items() if name.endswith(".json")]
    )
    return info, pictures
