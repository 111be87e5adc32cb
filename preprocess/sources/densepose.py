"""DensePose images of a user's own folder, beside the videos of a source."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from preprocess.errors import InputError
from preprocess.frames import FrameFolder
from preprocess.sources.files import find_images, stem
from preprocess.sources.numbers import frame_numbers
from preprocess.sources.values import Listing, Video

__all__ = ["with_densepose"]

_NAMED = 5


def with_densepose(listing: Listing, folder: Path) -> Listing:
    """The videos with the DensePose of FOLDER/{video id}/*.png, one image a frame, in order.

    A video without such a folder keeps the source's own, if it has any. Raises InputError when
    the folder has none of the videos, or a video's images are not as many as its frames or, by
    the numbers in their names, not of these. Hidden files are passed over.
    """
    if not folder.is_dir():
        if folder.is_file():
            raise InputError(
                f"--densepose {folder} is a file, a network that only `--depth hdnet` runs: choose "
                "that depth, or give a folder of DensePose images"
            )
        raise InputError(f"--densepose {folder} does not exist: give a folder of DensePose images")
    videos, wrong, found = [], [], 0
    for video in listing.videos:
        names = _images(folder / video.id)
        if names:
            found += 1
            paths = tuple(folder / video.id / name for name in names)
            if fault := _fault(video, names):
                wrong.append(f"{video.id}: {fault}")
            video = replace(video, densepose=FrameFolder(paths, video.fps, data=True))
        videos.append(video)
    if not found:
        first = listing.videos[0].id if listing.videos else "VIDEO"
        raise InputError(
            f"--densepose {folder} holds images of none of the videos: expected "
            f"{folder / first}/*.png, one a frame"
        )
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise InputError(
            f"--densepose {folder} needs one image for each frame: "
            f"{'; '.join(wrong[:_NAMED])}{more}"
        )
    return replace(listing, videos=tuple(videos))


def _images(folder: Path) -> list[str]:
    """Names of the images in the folder itself, in order."""
    if not folder.is_dir():
        return []
    return [path for path, _ in find_images(folder, suffixes=(".png",)) if "/" not in path]


def _fault(video: Video, names: list[str]) -> str:
    """Why the images are not those of the frames, one each; "" where they can be."""
    if len(names) != video.frames:
        return f"{len(names)} images ({names[0]} to {names[-1]}) for {video.frames} frames"
    numbers = frame_numbers([stem(name) for name in names])
    if len(numbers) < 2:
        return ""
    # Both may begin anywhere, and count each second frame; but where one leaves out, so must both.
    steps = np.diff(numbers)
    frames = np.diff(getattr(video.reader, "numbers", ()) or range(video.frames))
    wrong = np.flatnonzero(steps * frames.min() != frames * steps.min())
    if not wrong.size:
        return ""
    return f"{names[wrong[0] + 1]} after {names[wrong[0]]} is not the next frame's"
