"""`idol-shards gallery`: a page with clips in it, which opens from disk and can be mailed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from shards.errors import BadSample, BadTar, NotADataset, ShardsError
from shards.inspect.gallery.facts import facts, overview, quarantined
from shards.inspect.gallery.look import Look, look
from shards.inspect.gallery.strip import WEBP, spread
from shards.inspect.pages.page import asset, data_url, json_block, page
from shards.inspect.stats import clip_measures, scores
from shards.reader import Dataset, Entry

__all__ = ["Gallery", "gallery", "page_of"]

_SIDE = 160  # of pictures in the file, in pixels
_FRAMES = 16  # of a clip in the file
_MEASURED = 200  # clips that are read to find the worst
_QUARANTINED = 2000  # clips listed with their reason
_EVENLY = "one of those chosen evenly"

_Track = Callable[[list[Entry], str], Iterable[Entry]]


@dataclass(frozen=True)
class Gallery:
    """The file, and what is in it: plain JSON, `left_out` a line each."""

    html: str
    report: dict[str, Any]


def page_of(title: str, data: dict[str, Any], policy: dict[str, str] | None = None) -> Any:
    """The page that shows a dataset, of the file or of the server, by its `data`."""
    kit, here = "shards.inspect.pages", "shards.inspect.gallery"
    scripts = ("sources", "grid", "histogram", "clip", "lists", "gallery")
    return page(
        title,
        body='<div id="app"></div><noscript>This page needs scripts, which are in it.</noscript>',
        styles=[asset(kit, "kit.css"), asset(here, "gallery.css")],
        scripts=[asset(kit, "kit.js"), *(asset(here, f"{name}.js") for name in scripts)],
        data=data,
        policy=policy,
    )


def gallery(
    dataset: Dataset, *, clips: int, limit: int, track: _Track = lambda items, what: items
) -> Gallery:
    """One HTML file of up to `clips` clips and `limit` bytes.

    Half of them are the worst by any score, half are spread evenly; where all do not fit, the
    first of both. `track` wraps the iteration over clips, to show progress.
    Raises NotADataset when there is no clip, ShardsError when not one fits, StorageError.
    """
    entries = list(dataset.entries.values())
    if not entries and not any(shard.manifest.quarantined for shard in dataset.shards):
        raise NotADataset(f"{dataset.url}: holds no clips")
    measured = _measured(entries, track)
    chosen = _choice(entries, measured, clips)
    about = overview(dataset)
    failed = quarantined(dataset)
    listed = failed[:_QUARANTINED]
    frame = {"quarantined": listed, "overview": about}
    room = limit - len(_html(about, frame, {}, []).encode())
    looks: dict[str, Look] = {}
    blocks: dict[str, str] = {}
    for entry in track([dataset.entries[key] for key in chosen], "drawing clips"):
        seen = look(dataset, entry, side=_SIDE, frames=_FRAMES, kind=WEBP)
        block = _block(seen, chosen[entry.key])
        # What the table of all clips says of it comes on top.
        size = len(block.encode()) + 600
        if size > room:
            break
        room -= size
        looks[entry.key], blocks[entry.key] = seen, block
    if chosen and not looks:
        raise ShardsError(f"{limit / 1e6:.1f} MB do not hold a single clip: raise --max-mb")
    shown = [entry for entry in entries if entry.key in looks]
    left_out = list(_left_out(entries, chosen, looks, measured, len(failed), limit))
    html = _html(
        about,
        {**frame, "facts": facts(shown, measured), "left_out": left_out},
        {i: blocks[entry.key] for i, entry in enumerate(shown)},
        left_out,
    )
    report = {
        "dataset": dataset.url,
        "clips": len(shown),
        "of": len(entries),
        "bytes": len(html.encode()),
        "chosen": {entry.key: chosen[entry.key] for entry in shown},
        "left_out": left_out,
    }
    return Gallery(html, report)


def _html(
    about: dict[str, Any], data: dict[str, Any], blocks: dict[int, str], left_out: list[str]
) -> str:
    made = page_of(f"{about['name']}: clips", {"facts": facts([]), "left_out": left_out, **data})
    # Each clip is a block of its own, parsed when it is looked at.
    before, end = made.html.rsplit('<script type="module">', 1)
    numbered = "".join(
        block.replace("data-clip", f"data-clip-{i}", 1) for i, block in blocks.items()
    )
    return f'{before}{numbered}<script type="module">{end}'


def _block(seen: Look, why: str) -> str:
    told = {**seen.told, "chosen": why}
    told["panels"] = [
        {**panel, "src": data_url(drawn.data, drawn.kind.media_type)}
        for panel in told["panels"]
        if (drawn := seen.strips[panel["name"]])
    ]
    return json_block("clip", told)


def _measured(entries: list[Entry], track: _Track) -> dict[str, dict[str, float | None]]:
    """Measures by key of as many clips as can be read in a while, evenly."""
    found = {}
    some = [entries[i] for i in spread(len(entries), _MEASURED)] if entries else []
    for entry in track(some, "measuring clips"):
        try:
            found[entry.key] = clip_measures(entry)
        except (BadSample, BadTar):
            found[entry.key] = {}  # drawn, it says what is wrong
    return found


def _choice(
    entries: list[Entry], measured: dict[str, dict[str, float | None]], clips: int
) -> dict[str, str]:
    """Keys and why each was chosen, the most telling first: by turns evenly, and the worst."""
    count = len(entries)
    places = (*_halving(spread(count, -(-clips // 2))), *_halving(spread(count, clips)))
    evenly = ((entries[i].key, _EVENLY) for i in places)
    chosen: dict[str, str] = {}
    for key, why in chain.from_iterable(
        pair
        for pairs in zip_longest(evenly, _worst(entries, measured))
        for pair in [[p for p in pairs if p is not None]]
    ):
        if len(chosen) >= clips:
            break
        chosen.setdefault(key, why)
    return chosen


def _halving(numbers: list[int]) -> Iterator[int]:
    """The same numbers, so ordered that any first few are spread: the ends, the middle, …"""
    step = 1 << max(len(numbers) - 1, 0).bit_length()
    yield from (numbers[0], numbers[-1])[: len(numbers)] if numbers else ()
    given = {0, len(numbers) - 1}
    while step:
        for i in range(0, len(numbers), step):
            if i not in given:
                given.add(i)
                yield numbers[i]
        step //= 2


def _worst(
    entries: list[Entry], measured: dict[str, dict[str, float | None]]
) -> Iterator[tuple[str, str]]:
    """Clips by how bad they are: the worst of each score, then the second of each, …"""
    known = facts(entries, measured)["scores"]
    ranks = []
    for name, values in known.items():
        score = scores()[name]
        pairs = [(value, i) for i, value in enumerate(values) if value is not None]
        if len({value for value, _ in pairs}) > 1:
            sign = 1 if score.worst == "lowest" else -1
            pairs.sort(key=lambda pair: (sign * pair[0], pair[1]))
            bad = pairs if not score.counted else [pair for pair in pairs if pair[0] > 0]
            ranks.append([(entries[i].key, f"among the worst by {score.title}") for _, i in bad])
    for row in zip_longest(*ranks):
        yield from (pair for pair in row if pair is not None)


def _left_out(
    entries: list[Entry],
    chosen: dict[str, str],
    looks: dict[str, Look],
    measured: dict[str, Any],
    failed: int,
    limit: int,
) -> Iterator[str]:
    if len(looks) < len(entries):
        yield (
            f"{len(entries) - len(looks):,} of {len(entries):,} clips: half of those shown were "
            "chosen evenly, half are the worst by some score"
        )
    if len(looks) < len(chosen):
        yield (
            f"{len(chosen) - len(looks)} of the {len(chosen)} clips asked for do not fit into "
            f"{limit / 1e6:.4g} MB (--max-mb)"
        )
    if len(measured) < len(entries):
        yield (
            f"scores that need a clip read are known of {len(measured):,} clips, spread evenly; "
            "the others were judged by what the manifests say"
        )
    if fewer := sum("shown here" in dict(seen.told["facts"]) for seen in looks.values()):
        yield f"frames: of {fewer} clips {_FRAMES} each, evenly"
    if looks:
        yield (
            f"full size: pictures are {_SIDE} pixels at most; `idol-shards extract` takes the "
            "files out of the dataset"
        )
    if failed > _QUARANTINED:
        yield f"{failed - _QUARANTINED:,} of {failed:,} quarantined clips"
