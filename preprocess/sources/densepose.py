"""DensePose images of a user's own folder, beside the videos of a source."""

from dataclasses import replace
from pathlib import Path

from preprocess.errors import InputError
from preprocess.frames import FrameFolder
from preprocess.sources.files import numerically
from preprocess.sources.values import Listing

__all__ = ["with_densepose"]

_NAMED = 5


def with_densepose(listing: Listing, folder: Path) -> Listing:
    """The videos with the DensePose of FOLDER/{video id}/*.png, one image a frame, in order.

    A video without such a folder keeps the source's own, if it has any. Raises InputError when
    the folder has none of the videos, or a video's images are not as many as its frames.
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
        paths = sorted((folder / video.id).glob("*.png"), key=lambda path: numerically(path.name))
        if paths:
            found += 1
            video = replace(video, densepose=FrameFolder(tuple(paths), video.fps, data=True))
            if len(paths) != video.frames:
                wrong.append(f"{video.id}: {len(paths)} images for {video.frames} frames")
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
