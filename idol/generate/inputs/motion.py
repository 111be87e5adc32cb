"""Motions that are given as numbers or as pictures: key points, drawn skeletons, and their time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from idol.generate.errors import GenerationError
from idol.generate.generator import FPS
from idol.generate.inputs.preprocessing import as_generation_errors
from idol.generate.inputs.values import Motion
from preprocess.errors import ClipError
from preprocess.frames import read_each, read_image
from preprocess.sources.files import IMAGE_SUFFIXES, natural_order
from preprocess.sources.values import Video
from preprocess.sources.videos import probe_videos
from shards.sample.keypoints import COCO_18, OPENPOSE_134, are_seen, only_finite

__all__ = [
    "images_of",
    "motion_of_keypoints",
    "motion_of_skeletons",
    "part_of",
    "resampled",
    "trimmed",
]

_FARTHEST = 20  # times the picture's longer side, from its corner
_BLACK = 24  # of 255: darker is background
_LEAST_BLACK = 0.6  # of a drawing, that is black
_SUREST = 2  # of scores: some that mean 1 for the surest go beyond it now and then
_MOST_PIXELS = 4e9  # of all drawings together, in bytes


def motion_of_keypoints(path: Path, picture: tuple[int, int], fps: float | None) -> Motion:
    """Of a `.npy` as shards keep it, or of one person's: (F, people, J, 3) or (F, J, 3), J 134 or
    18 joints of x, y in pixels of `picture` (width, height), and a score from 0 to 1.

    Of several people it is the first. Frames a second are 25 unless given.
    Raises GenerationError for anything else.
    """
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise GenerationError(f"{path} cannot be read as key points (.npy): {error}") from error
    if not isinstance(points, np.ndarray):
        points.close()
        raise GenerationError(f"{path} holds several arrays: save one, of key points, as .npy")
    joints = (len(OPENPOSE_134), len(COCO_18))
    fits = points.ndim in (3, 4) and points.shape[-1] == 3 and points.shape[-2] in joints
    real = np.issubdtype(points.dtype, np.number) and not np.iscomplexobj(points)
    if not fits or not real or points.size == 0:
        raise GenerationError(
            f"{path} holds {points.dtype}{points.shape}, not key points: real numbers of shape "
            "(frames, people, joints, 3) or (frames, joints, 3), of 134 or 18 joints, each x, y in "
            "pixels and a score"
        )
    people = points.shape[1] if points.ndim == 4 else 1
    one = (points[:, 0] if points.ndim == 4 else points).astype(np.float32)
    lost = ~np.all(np.isfinite(one), axis=-1)
    whole = np.zeros((len(one), len(OPENPOSE_134), 3), np.float32)
    whole[:, : one.shape[1]] = only_finite(one)
    seen = whole[..., 2] > 0
    if not seen.any():
        raise GenerationError(f"{path}: no joint has a score above 0: nobody was seen")
    if (surest := float(whole[..., 2].max())) > _SUREST:
        raise GenerationError(
            f"{path}: scores reach {surest:g}, and must be from 0 (not seen) to 1 (sure): divide "
            "them by the largest that there can be, or cut them off at 1"
        )
    if float(np.abs(whole[seen][:, :2]).max()) <= 2:
        raise GenerationError(
            f"{path}: x and y are fractions of a picture: multiply them by its width and height"
        )
    if float(np.abs(whole[seen][:, :2]).max()) > _FARTHEST * max(picture):
        width, height = picture
        raise GenerationError(
            f"{path}: joints lie more than {_FARTHEST} times the picture's {width}x{height} away: "
            "x and y are counted in its pixels, from its top left corner"
        )
    info = {
        "kind": "key points",
        "frames": len(whole),
        "people": people,
        "not_finite": int(lost.sum()),
        "fps_from": "--fps" if fps else "the default",
    }
    return Motion(whole, picture, fps or FPS, path.name, info=info)


def motion_of_skeletons(
    path: Path, fps: float | None, start: int = 0, frames: int | None = None
) -> Motion:
    """Of a folder of images in the order of their names, or of a video: skeletons on black.

    Frames a second are the video's; images have `fps` of them, 25 unless given. Only `frames` are
    read, all unless given, from `start` on.
    Raises GenerationError for drawings on white or grey, for what is no drawing, for images that
    differ in size, and for what cannot be read.
    """
    with as_generation_errors():
        rate = None
        if path.is_dir():
            paths = images_of(path)
            count = len(paths)
            drawn = _images(path, [paths[i] for i in part_of(path, count, start, frames)])
        elif path.exists():
            video = _video(path)
            count, rate = video.frames, video.fps
            drawn = _drawn(path, video, part_of(path, count, start, frames))
        else:
            raise GenerationError(f"{path}: there is no such folder or video of skeletons")
    _check_drawings(path, drawn)
    info = {
        "kind": "skeletons",
        "first_frame": start,
        "frames": count,
        "fps_from": "the video" if rate else "--fps" if fps else "the default",
    }
    height, width = drawn.shape[1:3]
    return Motion(None, (width, height), rate or fps or FPS, path.name, drawn, info=info)


def part_of(what: object, count: int, start: int, frames: int | None) -> range:
    """The frames that are taken of `count`. Raises GenerationError where there is none."""
    if start >= count:
        raise GenerationError(f"{what} has {count} frames; --start-frame {start} is behind them")
    return range(start, count if frames is None else min(count, start + frames))


def images_of(folder: Path) -> list[Path]:
    """The images in a folder, in the order of their names' numbers; hidden ones are none.

    Raises GenerationError where there is none.
    """
    names = natural_order(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if not names:
        raise GenerationError(
            f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES[:6])} …): give a folder of "
            "images, or one video"
        )
    return [folder / name for name in names]


def _images(folder: Path, paths: list[Path]) -> np.ndarray:
    frames = []
    for path in paths:
        rgb, _ = read_image(path)
        frames.append(rgb)
        if rgb.shape != frames[0].shape:
            sizes = [f"{f.shape[1]}x{f.shape[0]}" for f in (frames[0], rgb)]
            raise GenerationError(f"{path} has {sizes[1]} pixels, {paths[0].name} has {sizes[0]}")
        _check_memory(folder, rgb, len(paths))
    return np.stack(frames)


def _video(path: Path) -> Video:
    listing = probe_videos([path], [path.name], [path.name], lambda: None)
    if not listing.videos:
        raise GenerationError(listing.unreadable[0].reason)
    return listing.videos[0]


def _drawn(path: Path, video: Video, part: range) -> np.ndarray:
    frames = []
    for _, frame in read_each(video.reader, part):
        if isinstance(frame, ClipError):
            raise frame
        _check_memory(path, frame.rgb, len(part))
        frames.append(frame.rgb)
    return np.stack(frames)


def _check_memory(path: Path, frame: np.ndarray, count: int) -> None:
    if frame.size * count > _MOST_PIXELS:
        raise GenerationError(
            f"{path}: {count} drawings of {frame.shape[1]}x{frame.shape[0]} take "
            f"{frame.size * count / 1e9:.0f} GB: draw them smaller, take fewer (--frames), or give "
            "the key points"
        )


def _check_drawings(path: Path, drawn: np.ndarray) -> None:
    some = drawn[np.unique(np.linspace(0, len(drawn) - 1, min(8, len(drawn))).round().astype(int))]
    brightness = some.max(-1)
    if float(np.median(brightness)) > 127:
        raise GenerationError(
            f"{path}: the skeletons are drawn on a bright background, not on black: draw them as "
            "OpenPose does, in colours on black, or give the video or its key points instead"
        )
    black = float((brightness <= _BLACK).mean())
    if black < _LEAST_BLACK:
        raise GenerationError(
            f"{path}: {black:.0%} of the pixels are black, so these are no drawn skeletons: give a "
            "video of a person as --driving"
        )
    if black == 1:
        raise GenerationError(f"{path}: the pictures are black: no skeleton is drawn in them")
    drawing = some[brightness > _BLACK].astype(np.int16)
    if float((drawing.max(-1) - drawing.min(-1)).mean()) < 40:
        raise GenerationError(
            f"{path}: the skeletons are drawn without colours, which tell limbs and sides apart: "
            "draw them as OpenPose does, or give the video or its key points instead"
        )


def trimmed(motion: Motion) -> Motion:
    """Without the frames before and after the person is seen, which are counted in `info`."""
    assert motion.keypoints is not None
    seen = np.flatnonzero(are_seen(motion.keypoints, motion.min_score).any(1))
    if not len(seen):
        return motion
    first, end = int(seen[0]), int(seen[-1]) + 1
    info = {
        **motion.info,
        "frames_before_the_person": first,
        "frames_after_the_person": len(motion) - end,
        "frames_without_person": end - first - len(seen),
    }
    frames = {t - first: frame for t, frame in motion.frames.items() if first <= t < end}
    return replace(motion, keypoints=motion.keypoints[first:end], info=info, frames=frames)


def resampled(motion: Motion, fps: float, times: Sequence[float] | None = None) -> Motion:
    """The motion at another rate, over the same time. `times` are those of its frames, in seconds,
    evenly spaced unless given.

    Key points lie on the line between the frames before and after, where both show them; of
    drawings it takes the nearest.
    """
    count = len(motion)
    own = np.arange(count) / motion.fps if times is None else np.asarray(times, np.float64)
    own = own - own[0]
    frames = max(1, int(np.floor(own[-1] * fps + 1e-6)) + 1)
    at = np.arange(frames) / fps
    place = np.interp(at, own, np.arange(count))
    nearest = np.rint(place).astype(int)
    shown = {
        int(np.abs(place - t).argmin()): frame for t, frame in motion.frames.items() if t < count
    }
    info = {**motion.info, "resampled_from_fps": round(motion.fps, 6), "resampled_from": count}
    if motion.keypoints is None:
        assert motion.skeletons is not None
        drawn = motion.skeletons[nearest]
        return replace(motion, skeletons=drawn, fps=fps, info=info, frames=shown)
    before = np.floor(place).astype(int)
    after = np.minimum(before + 1, count - 1)
    share = (place - before)[:, None, None].astype(np.float32)
    a, b, near = (motion.keypoints[i] for i in (before, after, nearest))
    both = are_seen(a, motion.min_score) & are_seen(b, motion.min_score)
    mixed = a + share * (b - a)
    mixed[..., 2] = np.minimum(a[..., 2], b[..., 2])
    points = np.where(both[..., None], mixed, near)
    return replace(motion, keypoints=points, fps=fps, info=info, frames=shown)
