"""Which videos train and which are held out, and in words how that was decided."""

from __future__ import annotations

import hashlib
import re

from pipelines.recipe import Recipe
from preprocess.sources.disco.listing import HELD_OUT
from preprocess.sources.values import Split, Video

__all__ = ["EVALUATION_IDS", "split_videos"]

# The videos on which DisCo and IDOL report: two TikTok folders and eight private clips.
EVALUATION_IDS = tuple(sorted(HELD_OUT))
_EVALUATION = re.compile(rf"(?<!\d)({'|'.join(EVALUATION_IDS)})(?!\d)")


def split_videos(
    videos: tuple[Video, ...], recipe: Recipe
) -> tuple[tuple[Split, ...], tuple[str, ...]]:
    """The split of each video, and the rules that decided, in words.

    Published splits where there are any; else whole groups by the order of their hashes: not by
    position, so that neighbours in a folder do not all land on one side.
    """
    if recipe.split == "disco":
        rule = f"val: the evaluation ids of DisCo and IDOL, {' '.join(EVALUATION_IDS)}"
        return (
            tuple("val" if _EVALUATION.search(video.id) else "train" for video in videos),
            (f"{rule}; train: all others",),
        )
    free = {video.group for video in videos if video.split is None}
    ordered = sorted(free, key=_hash)
    held_out = round(recipe.val_fraction * len(ordered))
    if recipe.val_fraction > 0 and len(ordered) > 1:
        held_out = min(max(held_out, 1), len(ordered) - (recipe.val_fraction < 1))
    validation = set(ordered[:held_out])
    splits: tuple[Split, ...] = tuple(
        v.split or ("val" if v.group in validation else "train") for v in videos
    )
    rules = []
    if len(free) < len({video.group for video in videos}):
        published = "folders 335 to 340 are val" if recipe.dataset == "tiktok" else "as published"
        rules.append(f"{recipe.dataset}'s own: {published}")
    if free:
        what = {"ntu120": "performers"}.get(recipe.dataset, "groups")
        rules.append(
            f"val: {held_out} of {len(free)} {what}, the first by SHA-256 of their names "
            f"(val_fraction {recipe.val_fraction:g}); train: the others"
        )
    return splits, tuple(rules)


def _hash(group: str) -> bytes:
    return hashlib.sha256(group.encode(errors="surrogateescape")).digest()
