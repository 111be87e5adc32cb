"""A clip's members into the arrays of one sample."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from shards.errors import BadSample
from shards.latents import decode_moments, latents_member
from shards.sample.images import decode_into
from shards.sample.modalities import JSON, MODALITIES, member_name
from shards.stream.catalogue import ClipEntry
from shards.stream.foreground import cut, hole
from shards.stream.geometry import IDENTITY, Geometry, draw_geometry, redraw_pose
from shards.stream.random import Draws
from shards.stream.request import Request

__all__ = ["background_of", "fill_frames", "fill_sample"]

Members = Mapping[str, memoryview]


def fill_sample(
    out: Mapping[str, np.ndarray],
    members: Members,
    clip: ClipEntry,
    request: Request,
    draw: tuple[int | str, ...] | None,
) -> list[int]:
    """Decode what is asked for into `out`, arrays of `request.shapes`, and augment it.

    `draw` is the key of all draws of this sample; without it nothing is drawn: the first frames,
    no crop, no mirror image. Returns the frames' numbers in the video.
    Raises BadSample, naming key or member, for anything missing or damaged; `out` is then unfit.
    """
    window = _draw_window(
        None if draw is None else Draws(*draw, "window"),
        clip.frames,
        request.frames,
        request.max_frame_step,
    )
    geometry = IDENTITY
    if draw is not None and request.moves:
        geometry = draw_geometry(Draws(*draw, "geometry"), request.crop_area, request.mirror)
    info = _info(members, clip)
    for row, streamed in request.rows:
        images = out.get(streamed.array)
        if images is None:  # its latents are taken
            continue
        if streamed.moves == "redrawn" and geometry != IDENTITY:
            points = _keypoints(members, clip)[list(window)]
            redraw_pose(points, info.get("keypoints"), geometry, images, clip.key)
        else:
            fill_frames(images, members, clip.key, row.name, window)
            geometry.apply(images, exact=streamed.moves == "exact")
    if "foreground" in out:
        _fill_parts(out, members, clip, request, window[0], geometry)
    if "background" in out:
        cut(
            out["foreground"],
            out["foreground_mask"],
            out["background"],
            out["background_mask"],
            outpainting=Draws(*(draw or ()), "haop") if request.cut == "haop" else None,
        )
    for name, stored in request.cached.items():
        _fill_latents(out[name], members, clip, stored, window)
    return [info["frame_indices"][frame] for frame in window]


def _draw_window(draws: Draws | None, available: int, frames: int, max_step: int) -> range:
    """`frames` of a clip's `available` frames, evenly spaced, as positions in the clip.

    The step is drawn from 1 to `max_step`, or as far as the clip reaches, and then the start, from
    all that fit; without `draws` the clip's first frames are taken. A single frame may be any.
    """
    if draws is None:
        return range(frames)
    step = 1
    if frames > 1:
        step = draws.integer(1, min(max_step, (available - 1) // (frames - 1)))
    span = (frames - 1) * step + 1
    start = draws.integer(0, available - span)
    return range(start, start + span, step)


def fill_frames(out: np.ndarray, members: Members, key: str, modality: str, window: range) -> None:
    """Decode the frames `window` of a modality into `out`, (T, H, W, 3) or (T, H, W) uint8."""
    for image, frame in zip(out, window, strict=True):
        _decode(image, members, key, modality, frame)


def background_of(members: Members, key: str, height: int, width: int) -> np.ndarray:
    """The background with its hole, (H, W, 3) uint8, as a stream with cut `reference` gives it."""
    image = np.empty((height, width, 3), np.uint8)
    mask = np.empty((height, width), np.uint8)
    _decode(image, members, key, "reference")
    _decode(mask, members, key, "reference_mask")
    return hole(image, mask)


def _fill_parts(
    out: Mapping[str, np.ndarray],
    members: Members,
    clip: ClipEntry,
    request: Request,
    frame: int,
    geometry: Geometry,
) -> None:
    """Image and mask, twice each."""
    image, mask = out["foreground"], out["foreground_mask"]
    if request.cut == "reference":
        _decode(image, members, clip.key, "reference")
        _decode(mask, members, clip.key, "reference_mask")
        geometry.apply(image)
    else:
        if "rgb" in out:
            image[...] = out["rgb"][0]
        else:
            _decode(image, members, clip.key, "rgb", frame)
        _decode(mask, members, clip.key, "mask", frame)
    geometry.apply(mask, exact=True)
    if "background" in out:
        out["background"][...] = image
        out["background_mask"][...] = mask


def _fill_latents(
    out: np.ndarray, members: Members, clip: ClipEntry, stored: str, window: range
) -> None:
    name = latents_member(clip.key, stored)
    if stored == "background_latents":
        out[...] = decode_moments(name, members.get(name), out.shape)
        return
    moments = decode_moments(name, members.get(name), (clip.frames, *out.shape[1:]))
    out[...] = moments[window.start : window.stop : window.step]


def _decode(
    row: np.ndarray, members: Members, key: str, modality: str, frame: int | None = None
) -> None:
    name = member_name(key, modality, frame)
    decode_into(row, members.get(name), name)


def _info(members: Members, clip: ClipEntry) -> dict[str, Any]:
    name = member_name(clip.key, JSON)
    try:
        info = json.loads(str(members[name], "utf-8"))
        indices = info["frame_indices"]
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise BadSample(f"{name}: missing, not JSON, or without frame_indices") from error
    if (
        not isinstance(indices, list)
        or len(indices) != clip.frames
        or not all(isinstance(index, int) for index in indices)
    ):
        raise BadSample(f"{name}: its frame_indices are not {clip.frames} whole numbers")
    return info


def _keypoints(members: Members, clip: ClipEntry) -> np.ndarray:
    name = member_name(clip.key, "keypoints")
    if name not in members:
        raise BadSample(f"{name}: missing")
    points = MODALITIES["keypoints"].read(name, bytes(members[name]))
    if len(points) != clip.frames:
        raise BadSample(f"{name}: {len(points)} frames, not {clip.frames}")
    return points
