"""Growing a dataset: what its source held when each part of it was made, and what is new.

Each generation is planned by itself, so that it gives the shards that it gave when it was made;
those of the next follow. A video that was there stays on its side of the split.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.plan import (
    FindBreaks,
    Generation,
    NoClip,
    Plan,
    PlannedClip,
    ShotCount,
    make_plan,
)
from pipelines.recipe import Recipe
from pipelines.splits import Splits, split_more
from preprocess.errors import InputError
from preprocess.sources.files import stem
from preprocess.sources.values import Listing, Split, Unreadable, Video
from shards.dataset import read_info, summaries_of
from shards.files.storage import Store
from shards.videos import VIDEOS, SourceVideo, read_videos

__all__ = ["Earlier", "earlier_in", "plan_generations"]

_NAMED = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Earlier:
    """What a dataset was made of so far: a summary of each generation, all their videos, and by
    which rules these were split, in words."""

    url: str
    summaries: tuple[Mapping[str, Any], ...]
    videos: Mapping[str, SourceVideo]
    rules: tuple[str, ...]


def earlier_in(store: Store, *, extend: bool) -> Earlier | None:
    """What the dataset in a folder was made of; None where there is none yet.

    Raises ShardsError for what is damaged, and InputError where `extend` needs what is not there.
    """
    info = read_info(store)
    if info is None:
        return None
    summaries = summaries_of(info.recipe)
    videos = read_videos(store, len(summaries)) if summaries else None
    if videos is None:
        if extend:
            raise InputError(
                f"{store.url()} has no {VIDEOS}, which says what it is made of: run the build "
                "without --extend first, on the source as it was"
            )
        return None
    rules = tuple(str(rule) for rule in info.extras.get("splits", ()))
    return Earlier(store.url(), summaries, videos, rules)


def plan_generations(
    recipe: Recipe,
    source: Path,
    listing: Listing,
    find_breaks: FindBreaks,
    earlier: Earlier,
    *,
    extend: bool,
    retry: bool = False,
) -> Plan:
    """The plan of a dataset that exists: its generations as they were made, then what is new,
    unless it gives no clip or this is a `retry`.

    Raises InputError naming videos that are gone, cannot be read any more or have changed, and new
    ones without `extend`; and as `make_plan`.
    """
    whole = Plan(recipe, source, listing.videos, (), {}, (), listing.unreadable)
    digests = dict(zip((v.id for v in listing.videos), whole.digests, strict=True))
    known = {i: v for i, v in earlier.videos.items() if v.digest}
    _refuse_changes(known, digests, listing, source, earlier.url)
    by_generation: list[list[Video]] = [[] for _ in earlier.summaries]
    new: list[Video] = []
    for video in listing.videos:
        here = known.get(video.id)
        (new if here is None else by_generation[here.generation]).append(video)
    if retry:
        new = []
        there = tuple(u for u in listing.unreadable if u.id in earlier.videos)
        listing = replace(listing, unreadable=there)
    if new and not extend:
        raise InputError(
            f"{source} has {_counted([v.id for v in new], 'video')} of which {earlier.url} was not "
            "made: add --extend to make more shards of what is new, or choose another --out"
        )
    plans: list[Plan] = []
    for videos in [*by_generation, new]:
        if not videos:
            continue
        if videos is new:
            splits = split_more(tuple(videos), list(known.values()), recipe)
        else:
            splits = _recorded(videos, known), ()
        left = None
        if recipe.limit is not None:
            left = recipe.limit - sum(plan.clips for plan in plans)
            if left < 1:
                _leave(new, source, f"--limit {recipe.limit} is reached by those there were")
                continue
        part = replace(listing, videos=tuple(videos), unreadable=())
        try:
            plan = make_plan(recipe, source, part, find_breaks, splits=splits, limit=left)
        except NoClip as error:
            if videos is not new:
                raise
            _leave(new, source, error.why)
            continue
        if videos is not new:
            _refuse_unread(plan.unreadable, source, earlier.url)
        plans.append(plan)
    return _joined(plans, listing, earlier)


def _leave(new: Sequence[Video], source: Path, why: str) -> None:
    """A generation without a clip is none: the same videos are new again next time."""
    _log.warning(
        f"{source}: {_counted([v.id for v in new], 'new video')} would give no clip ({why}): left "
        "for the next --extend"
    )


def _refuse_changes(
    known: Mapping[str, SourceVideo],
    digests: Mapping[str, str],
    listing: Listing,
    source: Path,
    url: str,
) -> None:
    gone = [video for video in known if video not in digests]
    # Two files of one stem keep their suffixes, and the one that was there is known without.
    beside = [other for other in digests if other not in known and stem(other) in gone]
    if len(beside) > len({stem(other) for other in beside}):
        raise InputError(
            f"{source}: {', '.join(beside[:_NAMED])} are alike but for their suffixes, and one of "
            f"them is in {url} as {stem(beside[0])}: give the new one another name"
        )
    changed = [i for i, v in known.items() if i in digests and digests[i] != v.digest]
    reasons = {unreadable.id: unreadable.reason for unreadable in listing.unreadable}
    unread = [video for video in gone if video in reasons]
    gone = [video for video in gone if video not in reasons]
    said = [f"{video} cannot be read now: {reasons[video]}" for video in unread[:_NAMED]]
    if len(unread) > _NAMED:
        said.append(f"nor can {len(unread) - _NAMED} others")
    faults = []
    if gone:
        faults.append(f"{_counted(gone, 'video')} {'is' if len(gone) == 1 else 'are'} gone")
    if changed:
        has = "has" if len(changed) == 1 else "have"
        faults.append(f"{_counted(changed, 'video')} {has} changed")
    if faults:
        said.append(f"{' and '.join(faults)} since {url} was made of it")
    if said:
        raise InputError(
            f"{source}: {'; '.join(said)}: put back what was there, or choose another --out"
        )


def _refuse_unread(unread: Sequence[Unreadable], source: Path, url: str) -> None:
    """Its other shots would be another dataset's."""
    if unread:
        raise InputError(
            f"{source}: {unread[0].id}, of which {url} was made, cannot be read now: "
            f"{unread[0].reason}; run the same command once it can"
        )


def _counted(ids: Sequence[str], what: str) -> str:
    named = ", ".join(ids[:_NAMED]) + (", …" if len(ids) > _NAMED else "")
    return f"{len(ids)} {what}{'s' * (len(ids) != 1)} ({named})"


def _recorded(videos: Sequence[Video], known: Mapping[str, SourceVideo]) -> Splits:
    sides: dict[str | None, Split | None] = {"train": "train", "val": "val", None: None}
    return tuple(sides[known[video.id].split] for video in videos)


def _joined(plans: Sequence[Plan], listing: Listing, earlier: Earlier) -> Plan:
    videos: list[Video] = []
    splits: list[Split | None] = []
    shards: dict[tuple[Split, int], tuple[PlannedClip, ...]] = {}
    generations = []
    ends: dict[str, int] = {}
    for number, plan in enumerate(plans):
        begin, moved = dict(ends), len(videos)
        for (split, index), clips in plan.shards.items():
            place = begin.get(split, 0) + index
            shards[split, place] = tuple(replace(c, video=c.video + moved) for c in clips)
            ends[split] = max(ends.get(split, 0), place + 1)
        videos += plan.videos
        splits += plan.splits
        recorded = number < len(earlier.summaries)
        summary = earlier.summaries[number] if recorded else _summary(plan, listing, earlier)
        generations.append(Generation(summary, len(videos), dict(ends)))
    one = plans[0]
    return Plan(
        one.recipe,
        one.source,
        tuple(videos),
        tuple(splits),
        dict(sorted(shards.items())),
        tuple(short for plan in plans for short in plan.short),
        (*listing.unreadable, *(unread for plan in plans for unread in plan.unreadable)),
        (*earlier.rules, *(rule for plan in plans for rule in plan.split_rules)),
        _added([plan.shots for plan in plans]),
        listing.passed_over,
        tuple(short for plan in plans for short in plan.short_shots),
        tuple(generations),
        earlier.videos,
    )


def _summary(plan: Plan, listing: Listing, earlier: Earlier) -> Mapping[str, Any]:
    """Of what is new, files that cannot be read among it."""
    failed = tuple(u for u in listing.unreadable if u.id not in earlier.videos)
    return replace(plan, unreadable=(*failed, *plan.unreadable)).source_summary()


def _added(counts: Sequence[ShotCount]) -> ShotCount:
    breaks: dict[str, int] = {}
    for count in counts:
        for why, number in count.breaks.items():
            breaks[why] = breaks.get(why, 0) + number
    return ShotCount(
        sum(c.videos for c in counts),
        sum(c.shots for c in counts),
        breaks,
        sum(c.short for c in counts),
        sum(c.short_frames for c in counts),
    )
