"""Which videos train and which are held out, and by which rule."""

import re

from pipelines.recipe import Recipe
from pipelines.separate import separate
from preprocess.sources.disco import HELD_OUT
from preprocess.sources.values import Split, Video
from shards.files.digest import sha256

__all__ = ["EVALUATION_IDS", "split_videos"]

# The videos on which DisCo and IDOL report: two TikTok folders and eight private clips.
EVALUATION_IDS = tuple(sorted(HELD_OUT))
_EVALUATION = re.compile(rf"(?<!\d)({'|'.join(EVALUATION_IDS)})(?!\d)")


def split_videos(
    videos: tuple[Video, ...], recipe: Recipe
) -> tuple[tuple[Split | None, ...], tuple[str, ...]]:
    """The split of each video, and the rules that decided, in words.

    Published splits where there are any; else whole groups by the order of their hashes: not by
    position, so that neighbours in a folder do not all land on one side. Where backgrounds are
    known none is on both sides either, and a video that mixes the two is on neither.
    """
    if recipe.split == "disco":
        rule = f"val: the evaluation ids of DisCo and IDOL, {' '.join(EVALUATION_IDS)}"
        return (
            tuple("val" if _EVALUATION.search(video.id) else "train" for video in videos),
            (f"{rule}; train: all others",),
        )
    rules = []
    if all(v.background is not None and v.split is None for v in videos):
        separated, rule = _by_background(videos, recipe)
        if separated is not None:
            return separated, (rule,)
        rules.append(rule)
    free = {video.group for video in videos if video.split is None}
    ordered = sorted(free, key=_hash)
    held_out = round(recipe.val_fraction * len(ordered))
    if recipe.val_fraction > 0 and len(ordered) > 1:
        held_out = min(max(held_out, 1), len(ordered) - (recipe.val_fraction < 1))
    validation = set(ordered[:held_out])
    splits: tuple[Split, ...] = tuple(
        v.split or ("val" if v.group in validation else "train") for v in videos
    )
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


def _by_background(
    videos: tuple[Video, ...], recipe: Recipe
) -> tuple[tuple[Split | None, ...] | None, str]:
    """Splits that keep performers and backgrounds apart; None where it cannot be, and why."""
    if recipe.val_fraction in (0, 1):
        side: Split = "val" if recipe.val_fraction else "train"
        rule = f"all videos are {side} (val_fraction {recipe.val_fraction:g})"
        return (side,) * len(videos), rule
    pairs = [(video.group, video.background or "") for video in videos]
    separation = separate(pairs, recipe.val_fraction)
    performers = len({performer for performer, _ in pairs})
    backgrounds = len({background for _, background in pairs})
    if not separation.performers:
        return None, (
            f"backgrounds are not kept apart: of {performers} performers and {backgrounds} setups "
            "none can be held out together"
        )
    splits = tuple(separation.side(*pair) for pair in pairs)
    mixed = splits.count(None)
    held_out = [*sorted(separation.performers), *sorted(separation.backgrounds)]
    return splits, (
        f"val: {len(separation.performers)} of {performers} performers in "
        f"{len(separation.backgrounds)} of {backgrounds} setups ({' '.join(held_out)}), chosen to "
        f"lose little (val_fraction {recipe.val_fraction:g}); train: other performers in other "
        f"setups; left out: {mixed} of {len(videos)} videos, which mix the two"
    )


def _hash(group: str) -> str:
    return sha256(group.encode(errors="surrogateescape"))
