"""The plan: which videos train and which are held out, and which clips go in which shard.

It is decided before any work starts.
"""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from pipelines.recipe import Recipe
from pipelines.splits import Splits, split_videos
from preprocess.errors import InputError
from preprocess.shots import Break, Shot, gap_breaks, in_words, shots_of
from preprocess.sources.reasons import without_source
from preprocess.sources.values import Listing, PassedOver, Split, Spread, Unreadable, Video
from preprocess.sources.videos import in_turn
from shards.dataset import source_of
from shards.files.digest import canonical_json, sha256
from shards.sample.keys import make_key
from shards.videos import SourceVideo

__all__ = [
    "CLIPS_PER_TASK",
    "FindBreaks",
    "Generation",
    "NoClip",
    "Plan",
    "PlannedClip",
    "ShortShots",
    "ShotCount",
    "Task",
    "make_plan",
]

# Clips of one video that one worker makes in a row, so that its frames are decoded once. Small
# enough to spread a single long video over many workers.
CLIPS_PER_TASK = 8


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """A clip by its video (index into the plan's videos), its first frame, and its shot."""

    video: int
    first_frame: int
    shot: Shot


@dataclass(frozen=True, slots=True)
class Task:
    """Consecutive clips of one shot of a video within one shard: what a worker is given.

    `places` are those of its clips in the shard. A clip's bytes depend on the clip alone, not on
    those that are made with it, or where, or when.
    """

    split: Split
    shard: int
    video: Video
    shot: Shot
    first_frames: tuple[int, ...]
    places: tuple[int, ...]

    def without(self, made: Container[int]) -> "Task | None":
        """The task but for the clips at places that are `made`; None when that is all of them."""
        left = [n for n, place in enumerate(self.places) if place not in made]
        if len(left) == len(self.places):
            return self
        if not left:
            return None
        return replace(
            self,
            first_frames=tuple(self.first_frames[n] for n in left),
            places=tuple(self.places[n] for n in left),
        )


@dataclass(frozen=True)
class ShotCount:
    """Shots of videos that are long enough for a clip, and what of them gives none.

    `breaks` counts what ends shots within videos, by reason; `short` are shots with too few frames
    for a clip, `short_frames` theirs in all.
    """

    videos: int = 0
    shots: int = 0
    breaks: Mapping[str, int] = field(default_factory=dict)
    short: int = 0
    short_frames: int = 0

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "breaks": dict(sorted(self.breaks.items()))}


@dataclass(frozen=True)
class ShortShots:
    """A video, by its id, that gives no clip though it is long enough, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Generation:
    """A part of a dataset that was extended: the videos that were new then.

    `summary` is that of these videos; `videos` is how many of the plan's there are with them, and
    `shards` how many shards of each split.
    """

    summary: Mapping[str, Any]
    videos: int
    shards: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Plan:
    """The recipe applied to a source.

    `shards` maps (split, shard index) to its clips in order. `short` are ids of videos with too
    few frames for a clip, `short_shots` those of which every shot has too few; `shots` is what was
    found in all but `short`, as far as `limit` has them looked at. `generations` are those of a
    dataset that exists, of whose videos `recorded` is known; there are none where it is begun.
    """

    recipe: Recipe
    source: Path
    videos: tuple[Video, ...]
    splits: tuple[Split | None, ...]  # of each video; None where it is on neither side
    shards: dict[tuple[Split, int], tuple[PlannedClip, ...]]
    short: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]
    split_rules: tuple[str, ...] = ()  # how videos were split, in words
    shots: ShotCount = field(default_factory=ShotCount)
    passed_over: tuple[PassedOver, ...] = ()  # what lies in the source and is not read
    short_shots: tuple[ShortShots, ...] = ()
    generations: tuple[Generation, ...] = ()
    recorded: Mapping[str, SourceVideo] = field(default_factory=dict)
    spread: Spread = in_turn  # how the videos' files are read for `source_summary`

    @property
    def clips(self) -> int:
        return sum(len(clips) for clips in self.shards.values())

    @property
    def shards_by_split(self) -> dict[str, int]:
        return dict(Counter(split for split, _ in self.shards))

    def keys(self, split: Split, shard: int) -> tuple[str, ...]:
        """Those of a shard's clips, in order."""
        return tuple(
            make_key(self.recipe.dataset, self.videos[clip.video].id, clip.first_frame)
            for clip in self.shards[split, shard]
        )

    def source_summary(self) -> dict[str, object]:
        """Counts and a digest of the source's videos: a changed source is another dataset.

        Content counts by `fingerprint`: sizes, and the ends of video files. The source's masks and
        DensePose count where the recipe uses them.
        """
        if self.generations:
            return source_of([generation.summary for generation in self.generations])
        digest = hashlib.sha256()
        failed = [u.id for u in self.unreadable]
        # The canonical JSON of [rows, failed], of which a large source's would fill the memory.
        for number, row in enumerate(self._rows()):
            digest.update((b"," if number else b"[[") + canonical_json(row)[:-1])
        digest.update((b"]," if self.videos else b"[[],") + canonical_json(failed)[:-1] + b"]\n")
        return {
            "videos": len(self.videos),
            "frames": sum(video.frames for video in self.videos),
            "unreadable": len(failed),
            "sha256": digest.hexdigest(),
        }

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Of each video, 32 hexadecimal digits that tell its content as `source_summary` does."""
        return tuple(sha256(canonical_json(row))[:32] for row in self._rows())

    def source_videos(self) -> Iterator[SourceVideo]:
        """All that a later build must know of this source, by generation."""
        ends = [generation.videos for generation in self.generations] or [len(self.videos)]
        made_of = set()
        for number, (video, split) in enumerate(zip(self.videos, self.splits, strict=True)):
            made_of.add(video.id)
            generation = bisect_right(ends, number)
            yield SourceVideo(
                *(video.id, generation, split, video.group, video.background),
                digest=self.digests[number],
            )
        for failed in sorted({failed.id for failed in self.unreadable} - made_of):
            known = self.recorded.get(failed)
            yield SourceVideo(failed, known.generation if known else len(ends) - 1)

    def _rows(self) -> Iterator[list[Any]]:
        reads = tuple(images.of for images in self.recipe.reads)
        return self.spread(partial(_row, reads=reads), self.videos)

    def tasks(self, of: Iterable[tuple[Split, int]]) -> list[Task]:
        """The named shards' clips, cut where the shot changes and every CLIPS_PER_TASK clips."""
        tasks = []
        for split, shard in of:
            clips = self.shards[split, shard]
            start = 0
            for end in range(1, len(clips) + 1):
                whole = end - start == CLIPS_PER_TASK
                if whole or end == len(clips) or _shot(clips[end]) != _shot(clips[start]):
                    first_frames = tuple(clip.first_frame for clip in clips[start:end])
                    video, shot = _shot(clips[start])
                    places = tuple(range(start, end))
                    tasks.append(Task(split, shard, self.videos[video], shot, first_frames, places))
                    start = end
        return tasks


def _row(video: Video, reads: tuple[Literal["masks", "densepose", "truth"], ...]) -> list[Any]:
    """What tells a video from others, and from what it was."""
    readers = [video.reader, *(video.given(of) for of in reads)]
    prints = [reader and reader.fingerprint() for reader in readers]
    return [video.id, video.frames, round(video.fps, 6), video.group, video.split, *prints]


class NoClip(InputError):
    """The videos give no clip; `why`, and whether `shorter` clips might be had."""

    def __init__(self, why: str, *, shorter: bool) -> None:
        hint = "; --clip-length and --frame-step make clips shorter" if shorter else ""
        super().__init__(f"the source gives no clip ({why}){hint}")
        self.why = why


FindBreaks = Callable[[Sequence[Video]], Iterable[Sequence[Break] | Unreadable]]
"""What ends shots within each of the videos, in their order, or why that cannot be told; one is
looked at when it is due."""


def make_plan(
    recipe: Recipe,
    source: Path,
    listing: Listing,
    find_breaks: FindBreaks | None = None,
    *,
    splits: tuple[Splits, tuple[str, ...]] | None = None,
    limit: int | None = None,
) -> Plan:
    """Cut every video's shots into clips and those of each split into shards, in source order.

    Without `find_breaks` gaps in time alone end shots. Videos whose breaks cannot be told are not
    of the plan, but unreadable. `splits` of the videos, with the rules in words, and `limit` take
    the place of the recipe's. Raises NoClip when there is none at all.
    """
    sides, rules = splits or split_videos(listing.videos, recipe)
    limit = recipe.limit if limit is None else limit
    used = [n for n, split in enumerate(sides) if split is not None]
    long = [n for n in used if listing.videos[n].frames >= recipe.span]
    short = [listing.videos[n].id for n in used if listing.videos[n].frames < recipe.span]
    if find_breaks is None:
        breaks: Iterable[Sequence[Break] | Unreadable] = (
            gap_breaks(listing.videos[n], recipe.max_gap) for n in long
        )
    else:
        breaks = find_breaks([listing.videos[n] for n in long])
    by_split: dict[Split, list[PlannedClip]] = {}
    count = _Counting(recipe.span)
    planned = 0
    short_shots = []
    failed: dict[int, Unreadable] = {}
    for index, found in zip(long, breaks, strict=False):
        if isinstance(found, Unreadable):
            failed[index] = replace(found, reason=without_source(found.reason, source))
            continue
        shots = count.add(shots_of(listing.videos[index].frames, found))
        if all(shot.frames < recipe.span for shot in shots):
            reason = _short_shots(shots, recipe.span)
            short_shots.append(ShortShots(listing.videos[index].id, reason))
        for shot in shots:
            first_frames = range(shot.first, shot.last - recipe.span + 2, recipe.clip_stride)
            if limit is not None:
                first_frames = first_frames[: limit - planned]
            planned += len(first_frames)
            split = sides[index]
            assert split is not None
            clips = by_split.setdefault(split, [])
            clips.extend(PlannedClip(index, first, shot) for first in first_frames)
        if planned == limit:
            break
    if not planned:
        reasons = [f"{len(short)} shorter than {recipe.span} frames"] if short else []
        if count.short:
            than = "that" if short else f"{recipe.span} frames"
            reasons.append(f"{count.short} shots shorter than {than}")
        if left_out := sides.count(None):
            reasons.append(f"{left_out} on neither side of the split")
        unread = (*listing.unreadable, *failed.values())
        reasons += [f"{u.id}: {u.reason}" for u in unread[:5]]
        raise NoClip("; ".join(reasons) or "no video in it", shorter=bool(short or short_shots))
    size = recipe.clips_per_shard
    left = [n for n in range(len(listing.videos)) if n not in failed]
    number = {n: place for place, n in enumerate(left)}
    shards = {
        (split, start // size): tuple(
            replace(clip, video=number[clip.video]) for clip in clips[start : start + size]
        )
        for split, clips in sorted(by_split.items())
        for start in range(0, len(clips), size)
    }
    return Plan(
        recipe,
        source,
        tuple(listing.videos[n] for n in left),
        tuple(sides[n] for n in left),
        shards,
        tuple(short),
        (*listing.unreadable, *failed.values()),
        rules,
        count.total(),
        listing.passed_over,
        tuple(short_shots),
    )


class _Counting:
    """A `ShotCount` in the making."""

    def __init__(self, span: int) -> None:
        self._span = span
        self._videos = self._shots = self._short_frames = self.short = 0
        self._breaks: Counter[str] = Counter()

    def add(self, shots: Sequence[Shot]) -> Sequence[Shot]:
        """Count a video's shots, and give them back."""
        self._videos += 1
        self._shots += len(shots)
        self._breaks.update(shot.ends for shot in shots if shot.ends != "end")
        short = [shot.frames for shot in shots if shot.frames < self._span]
        self.short += len(short)
        self._short_frames += sum(short)
        return shots

    def total(self) -> ShotCount:
        return ShotCount(
            self._videos, self._shots, dict(self._breaks), self.short, self._short_frames
        )


def _short_shots(shots: Sequence[Shot], span: int) -> str:
    ends = Counter(shot.ends for shot in shots if shot.ends != "end")
    by = " and ".join(in_words(why, count) for why, count in sorted(ends.items()))
    return f"all its {len(shots)} shots have fewer than {span} frames: {by}"


def _shot(clip: PlannedClip) -> tuple[int, Shot]:
    return clip.video, clip.shot
