"""A clip's members into the arrays of one sample."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from shards.errors import BadSample
from shards.latents import decode_moments, latents_member
from shards.sample.colormap import depth_to_hot
from shards.sample.images import decode_into
from shards.sample.keypoints import COCO_18, Keypoints
from shards.sample.modalities import JSON, MODALITIES, Modality, member_name
from shards.sample.posed import lay_over, pose_of, reference_joints
from shards.stream.catalogue import ClipEntry
from shards.stream.foreground import (
    Hole,
    around_person,
    draw_dilation,
    draw_outpainting_crop,
    holed,
    widen,
)
from shards.stream.geometry import IDENTITY, Geometry, draw_geometry, moved_keypoints, redraw_pose
from shards.stream.random import Draws
from shards.stream.request import DEPTH_SCORES, POSED, POSED_DEPTH, Request

__all__ = ["fill_sample", "stored_images"]

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
        moved = geometry if streamed.cropped else Geometry(mirrored=geometry.mirrored)
        if streamed.moves == "redrawn" and moved != IDENTITY:
            points = _keypoints(members, clip)[list(window)]
            redraw_pose(points, info.get("keypoints"), moved, images, clip.key)
        else:
            _fill_images(images, members, clip.key, row, window)
            moved.apply(images, exact=streamed.moves == "exact")
    for _, streamed in request.rows:
        if streamed.hole and streamed.array in out:
            mask = MODALITIES[streamed.hole].streamed
            assert mask is not None
            out[streamed.array][...] = holed(out[streamed.array], out[mask.array], request.hole)
    if request.cut != "reference" and "foreground" in out:
        outpainting = Draws(*(draw or ()), "haop") if request.cut == "haop" else None
        _cut_frame(out, members, clip.key, window[0], geometry, outpainting, request.hole)
    for name, stored in request.cached.items():
        _fill_latents(out[name], members, clip, stored, window)
    if POSED in out:
        _fill_posed(out, _keypoints(members, clip), info, geometry, window, clip.key)
    if DEPTH_SCORES in out:
        out[DEPTH_SCORES][...] = _depth_scores(info, clip, f"depth_{request.depth}")[list(window)]
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


def stored_images(
    members: Members, key: str, row: Modality, frames: int, height: int, width: int
) -> np.ndarray:
    """All images of a streamed modality as a stream gives them, unmoved: (N, H, W, 3) uint8.

    N is the clip's `frames`, or 1 for a still image; a background has its hole.
    Raises BadSample, naming the member, for anything missing or damaged.
    """
    still = row.files == "still"
    images = np.empty((1 if still else frames, height, width, 3), np.uint8)
    _fill_images(images[0] if still else images, members, key, row, range(frames))
    if row.streamed is not None and row.streamed.hole:
        mask = np.empty((height, width), np.uint8)
        _decode(mask, members, key, row.streamed.hole)
        images[0] = holed(images[0], mask)
    return images


def _fill_images(out: np.ndarray, members: Members, key: str, row: Modality, window: range) -> None:
    """Decode the frames `window` of a modality, or its still image, into `out`.

    out: (T, H, W, 3) or (T, H, W) uint8, without T for a still image.
    """
    if row.files == "still":
        _decode(out, members, key, row.name)
        return
    for image, frame in zip(out, window, strict=True):
        _decode(image, members, key, row.name, frame)


def _cut_frame(
    out: Mapping[str, np.ndarray],
    members: Members,
    key: str,
    frame: int,
    geometry: Geometry,
    outpainting: Draws | None,
    hole: Hole,
) -> None:
    """Foreground and background of pre-training, both of one frame; `outpainting` draws HAOP's.

    The background is the frame as `geometry` moves it, with its hole: the mask's, which HAOP
    dilates. The foreground is the unmoved frame around its person, of which HAOP takes a random
    part; a mirror image is its too. It keeps its surroundings: they go by its mask after CLIP's
    normalisation.
    """
    image, mask = out["background"], out["background_mask"]
    if "rgb" in out and geometry == IDENTITY:
        image[...] = out["rgb"][0]
    else:
        _decode(image, members, key, "rgb", frame)
    _decode(mask, members, key, "mask", frame)
    part = around_person(mask)
    radius = 0
    if outpainting is not None:
        radius = draw_dilation(outpainting, len(mask))
        part = part.part(draw_outpainting_crop(outpainting))
    part = replace(part, mirrored=geometry.mirrored)
    for whole, name in ((image, "foreground"), (mask, "foreground_mask")):
        out[name][...] = whole
        part.apply(out[name])
    geometry.apply(image)
    geometry.apply(mask, exact=True)
    if radius:
        mask[...] = widen(mask, radius)
    image[...] = holed(image, mask, hole)


def _fill_latents(
    out: np.ndarray, members: Members, clip: ClipEntry, stored: str, window: range
) -> None:
    name = latents_member(clip.key, stored)
    if out.ndim == 3:  # of a still image
        out[...] = decode_moments(name, members.get(name), out.shape)
        return
    moments = decode_moments(name, members.get(name), (clip.frames, *out.shape[1:]))
    out[...] = moments[window.start : window.stop : window.step]


def _fill_posed(
    out: Mapping[str, np.ndarray],
    points: np.ndarray,
    info: Mapping[str, Any],
    geometry: Geometry,
    window: range,
    key: str,
) -> None:
    """Lay the foreground over the background, both as `geometry` moved them, in each frame's pose.

    points: (T, people, J, 3) of the whole clip.
    """
    height, width = out[POSED].shape[1:3]
    try:
        poses, min_score = pose_of(points, info)
    except ValueError as error:
        raise BadSample(f"{key}: {error}: stream it without {POSED}") from error
    joints = reference_joints(info, poses, width)
    if joints is None:
        raise BadSample(
            f"{member_name(key, JSON)}: does not say where the foreground's joints are "
            f"(reference, joints): build it again, or stream it without {POSED}"
        )
    one = Keypoints(joints[None, None], COCO_18)
    if geometry.mirrored:
        one = one.flipped(width)
    several = Keypoints(poses[list(window), None], COCO_18)
    moved = moved_keypoints(several, geometry, height, width)
    depth = None
    if POSED_DEPTH in out:
        depth = np.empty(out[POSED].shape[:3], np.float32)
    lay_over(
        out["background"],
        out["foreground"],
        out["foreground_mask"],
        one.points[0, 0],
        moved.points[:, 0],
        min_score=min_score,
        out=out[POSED],
        depth=depth,
    )
    if depth is not None:
        out[POSED_DEPTH][...] = depth_to_hot(depth)


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


def _depth_scores(info: Mapping[str, Any], clip: ClipEntry, modality: str) -> np.ndarray:
    """Of each frame of the clip, (T,) uint8, what the json says of a depth in [0, 1]."""
    of = info.get("depth")
    said = of.get(modality) if isinstance(of, dict) else None
    scores = said.get("scores") if isinstance(said, dict) else None
    try:
        found = np.array(scores, np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (clip.frames,) or not ((found >= 0) & (found <= 1)).all():
        raise BadSample(
            f"{member_name(clip.key, JSON)}: has no score in [0, 1] for each frame's {modality} "
            "(depth, scores): stream it without depth_scores"
        )
    rounded: np.ndarray = np.round(found * 255).astype(np.uint8)
    return rounded


def _keypoints(members: Members, clip: ClipEntry) -> np.ndarray:
    name = member_name(clip.key, "keypoints")
    if name not in members:
        raise BadSample(f"{name}: missing")
    points = MODALITIES["keypoints"].read(name, bytes(members[name]))
    if len(points) != clip.frames:
        raise BadSample(f"{name}: {len(points)} frames, not {clip.frames}")
    return points
