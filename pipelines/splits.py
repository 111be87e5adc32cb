"""Which videos train and which are held out, and by which rule."""

import re
from collections import Counter
from collections.abc import Sequence

from pipelines.recipe import Recipe
from pipelines.separate import separate
from preprocess.sources.disco import HELD_OUT
from preprocess.sources.values import Split, Video
from shards.files.digest import sha256
from shards.videos import SourceVideo

__all__ = ["EVALUATION_IDS", "Splits", "split_more", "split_videos"]

Splits = tuple[Split | None, ...]
"""The side of each video; None where it is on neither."""

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


def split_more(
    videos: tuple[Video, ...], known: Sequence[SourceVideo], recipe: Recipe
) -> tuple[Splits, tuple[str, ...]]:
    """The split of videos that are added to those of a dataset, and the rules that decided.

    Who shares a group with videos that are there goes with them; so does, where backgrounds are
    kept apart, who shares a background, and who would join both sides is on neither. Of other
    groups as many are held out as bring `val` back to its fraction of all, by their hashes.
    """
    if recipe.split == "disco":
        return split_videos(videos, recipe)
    apart = all(v.background is not None and v.split is None for v in videos) and not _shared(known)
    sides: dict[tuple[str, str], set[str]] = {}
    for old in known:
        for place in _places(old.group, old.background if apart else None):
            sides.setdefault(place, set()).update((old.split,) if old.split else ())
    free: dict[str, list[Video]] = {}
    chosen: list[Split | None] = []
    for video in videos:
        if video.split is None and not any(
            sides.get(place) for place in _places(video.group, video.background if apart else None)
        ):
            free.setdefault(video.group, []).append(video)
    groups = {old.group for old in known if old.split} | set(free)
    there = {old.group for old in known if old.split == "val"}
    wanted = round(recipe.val_fraction * len(groups)) - len(there)
    held_out = set(sorted(free, key=_hash)[: max(wanted, 0)])
    for video in videos:
        places = _places(video.group, video.background if apart else None)
        joins = set().union(*(sides.get(place, set()) for place in places))
        side: Split | None
        if video.split is not None:
            side = video.split
        elif len(joins) > 1:
            side = None
        elif joins:
            side = "val" if "val" in joins else "train"
        else:
            side = "val" if video.group in held_out else "train"
        if side is not None and video.split is None:
            # What is decided holds for the next that share a group or a background with it.
            for place in places:
                sides.setdefault(place, set()).add(side)
        chosen.append(side)
    counts = Counter(chosen)
    return tuple(chosen), (
        f"added: {counts['train']} videos to train and {counts['val']} to val: groups that are "
        f"there stay on their side; {len(held_out & set(free))} of {len(free)} new groups are held "
        f"out, the first by SHA-256 of their names"
        + (f"; left out: {counts[None]} videos, which join both sides" if counts[None] else ""),
    )


def _places(group: str, background: str | None) -> tuple[tuple[str, str], ...]:
    return (("group", group), *((("background", background),) if background is not None else ()))


def _shared(known: Sequence[SourceVideo]) -> bool:
    """Whether a background is on both sides: they could not be kept apart."""
    sides: dict[str | None, set[str]] = {}
    for old in known:
        if old.split:
            sides.setdefault(old.background, set()).add(old.split)
    return any(len(found) > 1 for found in sides.values())


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
