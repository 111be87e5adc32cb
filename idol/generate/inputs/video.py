"""A motion from a raw driving video, or the images of its frames: annotated as a build annotates
training data.

The picture is letterboxed, not cropped: whoever walks through it is seen all the way. It is looked
at a piece at a time, so that memory does not grow with its length; what goes over frames (what
anatomy forbids, and smoothing) is done once, over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from idol.generate.errors import GenerationError
from idol.generate.generator import FPS
from idol.generate.inputs.frame import from_square
from idol.generate.inputs.motion import images_of, part_of, resampled, trimmed
from idol.generate.inputs.preprocessing import as_generation_errors
from idol.generate.inputs.values import Motion
from preprocess.annotate import ClipRequest, annotate
from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.registry import NONE
from preprocess.annotators.sanity import check_poses
from preprocess.annotators.smoothing import one_euro
from preprocess.annotators.spec import Hardware
from preprocess.cut_scan import cuts_of
from preprocess.errors import ClipError
from preprocess.frames import Frame, FrameFolder, frame_times, read_each
from preprocess.load import Annotators, load
from preprocess.shots import Shot, gap_breaks, shots_of
from preprocess.sources.numbers import distinct, frame_numbers
from preprocess.sources.values import Video
from preprocess.sources.videos import probe_videos
from preprocess.survey import Survey, survey
from shards.sample.keypoints import OPENPOSE_134

__all__ = ["motion_of_video"]

_SIZE = 512  # of the square in which annotators give key points; they are no pixels, and exact
_PIECE = 96_000_000  # bytes of frames that are looked at together
_FEWEST, _MOST = 8, 64  # frames in a piece
_MAX_GAP = 2.5  # frame times, as a recipe's: a longer pause ends a shot
_LEAST_FOUND = 0.5  # of the frames, as a recipe's
_UNEVEN = 0.05  # of a frame's time, by which frames may be off a regular grid
_SHOWN, _SHOWN_SIDE = 24, 512  # frames kept for the preview


def motion_of_video(
    path: Path,
    choice: AnnotatorChoice,
    *,
    fps: float | None = None,
    start: int = 0,
    frames: int | None = None,
    force: bool = False,
    weights: Path | None = None,
    hardware: Hardware | None = None,
    on_frames: Callable[[int, int], None] = lambda done, of: None,
) -> Motion:
    """The subject's key points in all frames of a video's longest shot.

    Args:
        path: a video, or a folder of its frames as images, in the order of their names' numbers;
            missing numbers are frames that were left out.
        choice: who finds key points, and of whom; as for a build.
        fps: frames a second of the motion; the video's own unless given. Images are taken to have
            so many, 25 unless given.
        start, frames: of the video, the first to be taken and how many.
        force: take a video that hardly shows anybody.
        weights, hardware: of annotators, as `preprocess.load.load` takes them.
        on_frames: told how many frames are done, and of how many.

    Raises:
        GenerationError: it cannot be read, has one frame, or shows nobody, or in fewer than half
            of its frames.
    """
    with as_generation_errors():
        video, faults = _folder(path, fps or FPS) if path.is_dir() else _open(path)
        shot, others = _shot(path, video, start, frames)
        quiet = replace(
            choice, mask=NONE, depth=(NONE,), normals=NONE, flow=NONE, crop="none", people="one",
            densepose=None, grey="near-black", check_poses=False, smooth=False,
        )  # fmt: skip
        annotators = load(quiet, weights, hardware=hardware)
        if annotators.pose is None:
            raise GenerationError(
                "--pose none finds no key points in a driving video: name another"
            )
        looked = survey(video, shot, annotators, _SIZE)
        if looked.reference.box is None:
            raise GenerationError(
                f"{path}: no person was found in {_in_words(shot, video)}; --pose names other "
                "annotators, and drawn skeletons are given as --skeletons"
            )
        points, shown, failed = _points(video, shot, looked, annotators, on_frames)
    points, found = _over_time(points, video.fps, choice)
    width, height = looked.reference.size
    min_score = annotators.pose.min_score
    seen = np.any(points[..., 2] >= min_score, axis=1)
    info: dict[str, Any] = {
        "kind": "video",
        "size": [width, height],
        "frames": shot.frames,
        "first_frame": shot.first,
        "of_frames": video.frames,
        "shots_left_out": others,
        "fps": round(video.fps, 6),
        "fps_from": "the video" if path.is_file() else "--fps" if fps else "the default",
        "frames_with_person": int(seen.sum()),
        "frames_failed": failed,
        "faults": faults,
        "people": len(looked.identity.people) if looked.identity else None,
        "person": looked.identity.number if looked.identity else None,
        "smoothed": choice.smooth,
        "annotators": {n: record.as_json() for n, record in annotators.records.items()},
        **found,
    }
    if not seen.any() or (seen.mean() < _LEAST_FOUND and not force):
        raise GenerationError(
            f"{path}: the person was found in {int(seen.sum())} of {len(seen)} frames, and half "
            "are needed"
            + (
                f"; of {max(failed.values())} it is said: {max(failed, key=failed.__getitem__)}"
                if failed
                else ""
            )
            + ("; --force takes them all the same" if seen.any() else "")
        )
    motion = Motion(points, (width, height), video.fps, path.name, None, min_score, info, shown)
    times = np.asarray(frame_times(video.reader, video.frames, video.fps), np.float64)
    times = times[shot.first : shot.last + 1]
    if fps is not None or _uneven(times, video.fps):
        motion = resampled(motion, fps or video.fps, times.tolist())
    return trimmed(motion)


def _open(path: Path) -> tuple[Video, list[str]]:
    """The video, and what is wrong with it all the same."""
    if not path.exists():
        raise GenerationError(f"{path}: there is no such file")
    listing = probe_videos([path], [path.name], [path.name], lambda: None)
    faults = [one.reason for one in listing.unreadable]
    if not listing.videos:
        raise GenerationError(faults[0])
    return listing.videos[0], faults


def _folder(path: Path, fps: float) -> tuple[Video, list[str]]:
    """As `_open`, of images whose names number them."""
    images = images_of(path)
    kept, doubles = distinct(image.stem for image in images)
    faults = [f"{path}: {a} left out, whose number {b} has" for a, b in doubles]
    files = tuple(images[place] for place in kept)
    reader = FrameFolder(files, fps, frame_numbers([file.stem for file in files]))
    return Video(path.name, len(files), fps, reader, path.name), faults


def _shot(
    path: Path, video: Video, start: int, frames: int | None
) -> tuple[Shot, list[dict[str, Any]]]:
    """What is taken of the video: within the part asked for, its longest run without a cut; and
    the other runs."""
    taken = part_of(path, video.frames, start, frames)
    if video.frames == 1:
        raise GenerationError(f"{path} has one frame: a motion needs several")
    every = shots_of(video.frames, [*cuts_of(video), *gap_breaks(video, _MAX_GAP)])
    parts = [
        replace(shot, first=max(shot.first, start), last=min(shot.last, taken[-1]))
        for shot in every
        if shot.last >= start and shot.first <= taken[-1]
    ]
    longest = max(parts, key=lambda shot: (shot.frames, -shot.first))
    others = [
        {"first": shot.first, "last": shot.last, "ends": shot.ends}
        for shot in parts
        if shot is not longest
    ]
    return longest, others


def _in_words(shot: Shot, video: Video) -> str:
    if shot.frames == video.frames:
        return f"its {video.frames} frames"
    return f"frames {shot.first} to {shot.last}, its longest shot"


def _points(
    video: Video,
    shot: Shot,
    looked: Survey,
    annotators: Annotators,
    on_frames: Callable[[int, int], None],
) -> tuple[np.ndarray, dict[int, np.ndarray], dict[str, int]]:
    """(F, 134, 3) in the video's pixels as the annotator gives them, some of the frames to be
    shown, and why frames have none, with how often."""
    points = np.zeros((shot.frames, len(OPENPOSE_134), 3), np.float32)
    shown: dict[int, np.ndarray] = {}
    wanted = set(np.linspace(0, shot.frames - 1, _SHOWN).round().astype(int).tolist())
    failed: dict[str, int] = {}
    piece: list[Frame] = []

    def look() -> None:
        indices = tuple(frame.index for frame in piece)
        request = ClipRequest(video.id, "driving", "val", indices, shot)
        at = [index - shot.first for index in indices]
        try:
            clip = annotate(request, video, piece, looked, annotators, size=_SIZE)
        except ClipError as error:
            failed[str(error)] = failed.get(str(error), 0) + len(piece)
        else:
            assert clip.keypoints is not None
            points[at] = from_square(clip.keypoints[:, 0], clip.info["crop"]["box"], _SIZE)
        piece.clear()

    for done, (index, frame) in enumerate(
        read_each(video.reader, range(shot.first, shot.last + 1)), 1
    ):
        if isinstance(frame, ClipError):
            failed[str(frame)] = failed.get(str(frame), 0) + 1
        else:
            piece.append(frame)
            if index - shot.first in wanted:
                shown[index - shot.first] = _smaller(frame.rgb)
        most = int(np.clip(_PIECE // max(piece[0].rgb.nbytes, 1), _FEWEST, _MOST)) if piece else 1
        if len(piece) >= most or (piece and done == shot.frames):
            look()
        on_frames(done, shot.frames)
    return points, shown, failed


def _over_time(
    points: np.ndarray, fps: float, choice: AnnotatorChoice
) -> tuple[np.ndarray, dict[str, int]]:
    """What a build does over a clip, over all frames: as it is asked for."""
    several = points[:, None]
    found: dict[str, int] = {}
    if choice.check_poses:
        several, findings = check_poses(several, fps)
        found = asdict(findings)
    if choice.smooth:
        several = one_euro(several, fps)
    one: np.ndarray = several[:, 0]
    return one, found


def _uneven(times: np.ndarray, fps: float) -> bool:
    """Whether frames come at other times than a video of this rate would show them."""
    if len(times) < 2:
        return False
    even = times[0] + np.arange(len(times)) / fps
    off = times - even
    return bool(np.ptp(off) > max(0.5, _UNEVEN * len(times)) / fps)


def _smaller(rgb: np.ndarray) -> np.ndarray:
    side = max(rgb.shape[:2])
    if side <= _SHOWN_SIDE:
        return rgb
    scale = _SHOWN_SIDE / side
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    smaller: np.ndarray = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return smaller
