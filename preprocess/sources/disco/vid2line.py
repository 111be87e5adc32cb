"""`vid2line`: which lines of a TSV file of pictures make up which video.

It is found in several forms: for each picture the first and last line of its video, counted from
the file's start or from the picture itself; or for each video its lines, or its first and last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["read_vid2line"]

Lines = Sequence[int]


def read_vid2line(
    path: Path, rows: Mapping[str, int], count: int
) -> list[tuple[str | None, list[int]]]:
    """The videos' names (None where the file does not tell) and the lines of their pictures.

    `rows` maps pictures' keys to lines, of which there are `count`.
    Raises ValueError that says why the file is of no use, and OSError.
    """
    entries: dict[str, list[int]] = {}
    for name, lines in _entries(path, rows):
        entries.setdefault(name, []).extend(lines)
    if not entries:
        raise ValueError("is empty")
    by_picture = {name: lines for name, lines in entries.items() if name in rows}
    if len(by_picture) > len(entries) / 2:
        return [(None, lines) for lines in _by_picture(by_picture, rows)]
    return list(_by_video(entries, count).items())


def _entries(path: Path, rows: Mapping[str, int]) -> Iterator[tuple[str, Lines]]:
    if path.suffix == ".json":
        with open(path, encoding="utf-8-sig") as opened:
            content = json.load(opened)
        if not isinstance(content, dict):
            raise ValueError("is not a JSON object of videos")
        for name, lines in content.items():
            yield name, _numbers(name, lines, rows)
        return
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as opened:
        for line in opened:
            name, _, rest = line.rstrip("\r\n").partition("\t")
            if name.strip():
                yield name.strip(), _numbers(name, _parsed(rest), rows)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.replace(",", " ").split()  # start and end in columns of their own


def _numbers(name: str, lines: Any, rows: Mapping[str, int]) -> Lines:
    values = lines if isinstance(lines, list) else [lines]
    try:
        return [rows[v] if isinstance(v, str) and v in rows else int(v) for v in values]
    except (TypeError, ValueError):
        raise ValueError(f"has no line numbers for {name}") from None


def _by_picture(entries: Mapping[str, Lines], rows: Mapping[str, int]) -> list[list[int]]:
    if any(len(span) != 2 for span in entries.values()):
        raise ValueError("has no first and last line for each picture")
    for relative in (False, True):
        videos: dict[tuple[int, int], list[int]] = {}
        for key, (first, last) in entries.items():
            row = rows[key]
            shift = row if relative else 0
            if not first + shift <= row <= last + shift:
                break
            videos.setdefault((first + shift, last + shift), []).append(row)
        else:
            return list(videos.values())
    raise ValueError("has pictures outside of the lines of their own videos")


def _by_video(entries: Mapping[str, Lines], count: int) -> dict[str, list[int]]:
    """The reading in which every line belongs to one video; else the plainest that can be."""
    readings = [{name: list(lines) for name, lines in entries.items()}]
    if all(len(lines) == 2 for lines in entries.values()):
        for end in (1, 0):
            spans = {name: list(range(a, b + end)) for name, (a, b) in entries.items()}
            readings.insert(len(readings) - 1, spans)
    readings += [
        {name: [line - 1 for line in lines] for name, lines in reading.items()}
        for reading in readings
    ]
    possible = []
    for reading in readings:
        lines = [line for video in reading.values() for line in video]
        if lines and len(set(lines)) == len(lines) and min(lines) >= 0 and max(lines) < count:
            if len(lines) == count:
                return reading
            possible.append(reading)
    if not possible:
        raise ValueError(f"names lines twice, or beyond the {count} that there are")
    return possible[0]
