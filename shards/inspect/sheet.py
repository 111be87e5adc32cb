"""`idol-shards show`: a clip on one page, time going right, one modality a row."""

import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from shards.inspect.page import ALERT, DIM, Page, fitted
from shards.manifest import describe_sample
from shards.sample.clip import Clip
from shards.sample.colormap import depth_to_hot
from shards.sample.encodings import HOT_DEPTH
from shards.sample.modalities import MODALITIES, Modality
from shards.sample.reference import background_lost, background_shift, coverage, described

__all__ = ["contact_sheet", "notes", "rows_of_tiles", "still_tiles"]

_COLUMNS = 8
_TILE = 208  # side of a square tile in pixels; others have its area
_WIDTH = 900  # of the page at least, for the title
_GAP, _MARGIN, _LABELS, _HEAD, _TIMES, _LINE = 6, 28, 214, 92, 26, 17
_STILL_LABELS = 150


def contact_sheet(clip: Clip, *, source: str = "") -> bytes:
    """A PNG of up to 8 frames spread over a clip; `source` tells where it was read from.

    Whatever `clip.info` does not say is left out; a modality the clip lacks has no row.
    """
    shown = np.unique(np.linspace(0, len(clip.rgb) - 1, _COLUMNS).round().astype(int))
    rows = rows_of_tiles(clip)
    stills = still_tiles(clip)
    h, w = clip.rgb.shape[1:3]
    tile_w, tile_h = round(_TILE * (w / h) ** 0.5), round(_TILE * (h / w) ** 0.5)
    left, top = _MARGIN + _LABELS, _MARGIN + _HEAD + _TIMES
    stills_left = left + len(shown) * (tile_w + _GAP) + 3 * _GAP
    right = stills_left + tile_w + _STILL_LABELS if stills else stills_left - 4 * _GAP
    bottom = top + max(len(rows), len(stills)) * (tile_h + _GAP) - _GAP
    page = Page(max(right, _WIDTH) + _MARGIN, bottom + _MARGIN)

    _header(page, clip, source)
    for column, t in enumerate(shown):
        x = left + column * (tile_w + _GAP)
        page.text(x, top - 8, _time(clip.info, int(t)), size=9.5, colour=DIM)
    for row, (modality, tiles) in enumerate(rows.items()):
        y = top + row * (tile_h + _GAP)
        for column, t in enumerate(shown):
            x = left + column * (tile_w + _GAP)
            page.paste(x, y, fitted(tiles[t], tile_w, tile_h))
            if row == 0 and _at(clip.info.get("person_frames"), int(t)) is False:
                page.badge(x, y, "no person", colour=ALERT)
        page.text(_MARGIN, y + 18, MODALITIES[modality].title, size=12, bold=True)
        line = y + 24
        for text in notes(clip.info, modality):
            for part in textwrap.wrap(text, 30):
                line += _LINE
                page.text(_MARGIN, line, part, size=9.5, colour=DIM)
        if MODALITIES[modality].encoding is HOT_DEPTH:
            _scale(page, line + 12, depth_to_hot(np.linspace(0, 1, 160, dtype=np.float32)[None]))
    frame = described(clip.info).get("frame")
    if stills and frame is not None:
        page.text(stills_left, top - 8, f"frame {frame}", size=9.5, colour=DIM)
    for row, (modality, tile) in enumerate(stills.items()):
        y = top + row * (tile_h + _GAP)
        page.paste(stills_left, y, fitted(tile, tile_w, tile_h))
        page.text(stills_left + tile_w + 10, y + 18, MODALITIES[modality].title, size=10, bold=True)
    return page.png()


def rows_of_tiles(clip: Clip) -> dict[str, np.ndarray]:
    """(T, H, W, 3) uint8 RGB by modality, of those that can be drawn, in the order of the table."""
    rows = ((MODALITIES[name], array) for name, array in clip.arrays.items())
    return {
        row.name: row.draw(clip.rgb, array) for row, array in rows if row.draw and not _still(row)
    }


def still_tiles(clip: Clip) -> dict[str, np.ndarray]:
    """(H, W, 3) uint8 RGB by modality: foreground and background, each with its mask."""
    arrays = clip.arrays
    return {
        name: row.draw(arrays[row.over][None], array[None])[0]
        for name, array in arrays.items()
        if (row := MODALITIES[name]).draw and _still(row) and row.over in arrays
    }


def _still(row: Modality) -> bool:
    return row.files == "still"


def _header(page: Page, clip: Clip, source: str) -> None:
    info = clip.info
    page.text(_MARGIN, _MARGIN + 22, clip.key, size=18, bold=True)
    indices = info.get("frame_indices") or []
    facts = [f"video {info['video']}" if info.get("video") else ""]
    if indices:
        steps = {b - a for a, b in pairwise(indices)}
        every = f", every {steps.pop()}" if len(steps) == 1 and steps != {1} else ""
        facts.append(f"frames {indices[0]} to {indices[-1]}{every} ({len(indices)})")
    if isinstance(info.get("fps"), int | float):
        facts.append(f"{info['fps']:.4g} fps")
    facts.append(f"{clip.rgb.shape[2]} x {clip.rgb.shape[1]} px")
    if isinstance(info.get("crop"), dict) and info["crop"].get("mode"):
        facts.append(f"crop {info['crop']['mode']}")
    page.text(_MARGIN, _MARGIN + 48, _joined(facts), size=11)
    people = info.get("person_frames")
    quality = [source]
    if isinstance(people, list) and people:
        quality.append(f"person in {sum(map(bool, people))} of {len(people)} frames")
    if subject := describe_sample(clip.key, info, {}, 0, 0).subject:
        quality.append(f"subject {subject}")
    quality += _of_reference(clip)
    page.text(_MARGIN, _MARGIN + 70, _joined(quality), size=10, colour=DIM)
    if described(info).get("person") is False:
        page.text(_MARGIN, _MARGIN + 88, "the reference shows nobody", size=10, colour=ALERT)


def _of_reference(clip: Clip) -> Iterator[str]:
    reference = described(clip.info)
    if reference.get("person"):
        yield "reference shows the subject"
    if clip.reference_mask is not None:
        yield f"mask covers {coverage(clip.reference_mask):.1%} of the foreground"
    if np.isfinite(shift := background_shift(clip.info)):
        yield f"background shift {shift:.1f} px"
    elif background_lost(clip.info) == 1:
        yield "background not found again"
    elif "background_shift" in reference:
        yield "background shift not measured"


def notes(info: dict[str, Any], modality: str) -> Iterator[str]:
    """Short lines on a modality from a clip's json: who made it, how good it is; some are empty."""
    annotator = _dict(_dict(info.get("annotators")).get(modality))
    yield _joined([annotator.get("name", ""), annotator.get("version", "")], " ")
    if modality == "pose":
        keypoints = _dict(info.get("keypoints"))
        said = keypoints.get("mean_score")
        scores = [s for s in said if isinstance(s, int | float)] if isinstance(said, list) else []
        yield str(keypoints.get("joint_set", ""))
        yield f"mean score {sum(scores) / len(scores):.2f}" if scores else ""
    depth = _dict(_dict(info.get("depth")).get(modality))
    yield str(depth.get("label", ""))
    if isinstance(depth.get("near"), int | float) and isinstance(depth.get("far"), int | float):
        yield f"{depth['near']:.2f} to {depth['far']:.2f} {depth.get('unit') or ''}"
    if depth.get("clamped"):
        yield f"clamped: {depth['clamped']}"


def _scale(page: Page, y: int, bar: np.ndarray) -> None:
    page.paste(_MARGIN, y, np.repeat(bar, 9, axis=0))
    page.text(_MARGIN, y + 24, "near", size=8.5, colour=DIM)
    page.text(_MARGIN + 120, y + 24, "far", size=8.5, colour=DIM, align="right")
    page.text(_MARGIN + 160, y + 24, "none", size=8.5, colour=DIM, align="right")


def _time(info: dict[str, Any], t: int) -> str:
    frame = _at(info.get("frame_indices"), t)
    seconds = _at(info.get("timestamps"), t)
    named = f"frame {t if frame is None else frame}"
    return f"{named}  ·  {seconds:.2f} s" if isinstance(seconds, int | float) else named


def _at(values: Any, t: int) -> Any:
    return values[t] if isinstance(values, list) and t < len(values) else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _joined(facts: list[Any], between: str = "   ·   ") -> str:
    return between.join(str(fact) for fact in facts if fact)
