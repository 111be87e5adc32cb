"""Pictures beside the frames that annotators want: the source's masks, and DensePose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipelines.plan import Plan
from pipelines.recipe import Recipe
from preprocess.annotators import provenance as makers
from preprocess.errors import InputError
from preprocess.frames import FrameFolder
from preprocess.sources.files import numerically
from preprocess.sources.values import Listing, Video

__all__ = ["check_masks", "notices", "with_densepose"]

_NAMED = 5


def with_densepose(listing: Listing, folder: Path) -> Listing:
    """The videos with the DensePose of FOLDER/{video id}/*.png, one picture a frame, in order.

    A video without such a folder keeps the source's own, if it has any. Raises InputError when
    the folder has none of the videos, or a video's pictures are not as many as its frames.
    """
    if not folder.is_dir():
        raise InputError(f"--densepose {folder} is not a folder")
    videos, wrong, found = [], [], 0
    for video in listing.videos:
        paths = sorted((folder / video.id).glob("*.png"), key=lambda path: numerically(path.name))
        if paths:
            found += 1
            video = replace(video, densepose=FrameFolder(tuple(paths), video.fps))
            if len(paths) != video.frames:
                wrong.append(f"{video.id}: {len(paths)} pictures for {video.frames} frames")
        videos.append(video)
    if not found:
        first = listing.videos[0].id if listing.videos else "VIDEO"
        raise InputError(
            f"--densepose {folder} holds pictures of none of the videos: expected "
            f"{folder / first}/*.png, one a frame"
        )
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise InputError(
            f"--densepose {folder} needs one picture for each frame: "
            f"{'; '.join(wrong[:_NAMED])}{more}"
        )
    return replace(listing, videos=tuple(videos))


def check_masks(recipe: Recipe, listing: Listing) -> None:
    """Raises InputError when the source's own masks are wanted and it has none at all."""
    if recipe.mask == "source" and not any(video.masks for video in listing.videos):
        layout = " (TikTok_dataset/00001/masks/0001.png)" if recipe.dataset == "tiktok" else ""
        raise InputError(
            f"--mask source: no video of this {recipe.dataset} source has masks{layout}; choose "
            "another --mask"
        )


def notices(plan: Plan) -> tuple[str, ...]:
    """What whoever builds or uses the dataset must be told, each once."""
    choice = plan.recipe.annotators
    said = [maker.notice for maker in makers.makers(choice).values() if maker.notice]
    said += _without(
        "hdnet" in choice.depth,
        plan,
        "densepose",
        "HDNet gets zeros in its place, "
        "and its depth is worse than the published one; give --densepose FOLDER",
    )
    said += _without(choice.mask == "source", plan, "masks", "their clips are quarantined")
    return tuple(dict.fromkeys(said))


def _without(wanted: bool, plan: Plan, name: str, effect: str) -> list[str]:
    lacking = [video.id for video in plan.videos if wanted and getattr(video, name) is None]
    if not lacking:
        return []
    what = {"densepose": "DensePose", "masks": "masks"}[name]
    return [f"{_many(lacking, plan.videos)} without {what}: {effect}"]


def _many(lacking: list[str], videos: tuple[Video, ...]) -> str:
    if len(lacking) == len(videos):
        return "all videos are"
    return f"{len(lacking)} of {len(videos)} videos (first: {lacking[0]}) are"
