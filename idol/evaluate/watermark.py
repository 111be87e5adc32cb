"""`idol-eval watermark`: whether files carry IDOL's invisible mark, and what their metadata say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from idol.evaluate.errors import EvaluationError
from idol.generate.c2pa import signed_by
from idol.generate.watermark import ALARM, MESSAGE, Detection, detect
from idol.mp4 import GENERATED, spread
from shards.files.digest import parse_json
from shards.inspect.console import QuietConsole
from shards.sample.images import check_size

__all__ = ["Found", "look", "measured", "print_watermarks"]

_VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
_FRAMES = 8  # of a video that are read: more would take a second each


@dataclass(frozen=True)
class Found:
    """What was found in a file.

    `mark`       what was read of the invisible mark.
    `generated`  the metadata say "generated", in words of IDOL's.
    `signed`     what the signed metadata say, see `idol.generate.c2pa.signed_by`; None without.
    """

    file: str
    mark: Detection
    generated: bool
    signed: dict[str, Any] | None


def look(file: Path) -> Found:
    """Look at a video, or at an image.

    Raises EvaluationError for a file that cannot be read as either.
    """
    if file.suffix.lower() in _IMAGES:
        return Found(str(file), detect([_image(file)]), False, None)
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise EvaluationError(f"{file} has no video in it")
            comment = container.metadata.get("comment", "")
            pictures = container.decode(video=0)
            frames = spread((p.to_ndarray(format="rgb24") for p in pictures), _FRAMES)
    except av.FFmpegError as error:
        raise EvaluationError(f"{file} cannot be read as a video: {error.strerror}") from error
    if not frames:
        raise EvaluationError(f"{file} has no frame that can be decoded")
    return Found(str(file), detect(frames), comment == GENERATED, signed_by(file))


def measured() -> dict[str, Any]:
    """What `bench/watermark.py` measured of the mark."""
    return parse_json(files("idol.evaluate").joinpath("watermark.json").read_bytes())


def print_watermarks(
    paths: Sequence[Path], *, as_json: bool, console: Console | None = None
) -> bool:
    """Look at files, and at those in folders, and print what was found.

    Returns:
        Whether all that was read carries the mark.

    Raises:
        EvaluationError: a path is not there, cannot be read, or a folder holds nothing to read.
    """
    console = console or QuietConsole()
    left_out: list[str] = []
    found = [look(file) for file in _files(paths, left_out)]
    alarms = measured()["unmarked"]
    if as_json:
        result = {
            "message": MESSAGE.decode(),
            "files": [{**asdict(each), "marked": each.mark.marked} for each in found],
            "left_out": left_out,
            "false_alarms": alarms,
        }
        console.print_json(json.dumps(result))
        return all(each.mark.marked for each in found)
    table = Table(box=None, pad_edge=False)
    for column in ("file", "marked", "bits", "agree", "p-value", "frames", "metadata", "signed by"):
        table.add_column(column, overflow="fold")
    for each in found:
        table.add_row(
            escape(each.file),
            "yes" if each.mark.marked else "no",
            each.mark.bits,
            f"{each.mark.agreeing}/32",
            f"{each.mark.p_value:.1e}",
            str(each.mark.frames),
            "generated" if each.generated else "",
            escape(_signer(each.signed)),
        )
    console.print(table)
    console.print(
        f"marked: p-value below {ALARM:g}. Of {alarms['frames']} unmarked frames "
        f"{alarms['false_alarms']} were said to be marked: with 95 % confidence fewer than "
        f"{alarms['bound'] * 100:.2g} % are."
    )
    if left_out:
        console.print(escape(f"left out, neither video nor image: {', '.join(left_out)}"))
    return all(each.mark.marked for each in found)


def _files(paths: Sequence[Path], left_out: list[str]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise EvaluationError(f"there is no {path}")
        if not path.is_dir():
            yield path
            continue
        inside = sorted(entry for entry in path.iterdir() if entry.is_file())
        wanted = [
            entry
            for entry in inside
            if entry.suffix.lower() in _VIDEOS | _IMAGES and not entry.name.startswith(".")
        ]
        left_out += [str(entry) for entry in inside if entry not in wanted]
        if not wanted:
            raise EvaluationError(f"{path} holds no video and no image")
        yield from wanted


def _image(file: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, without regard to transparency."""
    data = file.read_bytes()
    try:
        if file.suffix.lower() in (".png", ".jpg", ".jpeg"):
            check_size(data)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except (ValueError, cv2.error) as error:
        why = error.err if isinstance(error, cv2.error) else error
        raise EvaluationError(f"{file} cannot be read as an image: {why}") from error
    if image is None:
        raise EvaluationError(f"{file} cannot be read as an image")
    return image


def _signer(claim: dict[str, Any] | None) -> str:
    if claim is None:
        return ""
    said = ", generated" if claim["generated"] else ""
    return f"{claim['issuer']} ({claim['state'].lower()}{said})"
