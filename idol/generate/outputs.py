"""What a run writes: videos, depth, a contact sheet, and a report, all of them or none.

| file | content |
|---|---|
| `video.mp4`, `depth.mp4`, `side_by_side.mp4` | the frames, the depth stream's colours, both |
| `depth/00000.png`, `depth/00000.exr` | depth of each frame, see `idol.generate.depth_files` |
| `sheet.png` | up to eight frames and their depth |
| `background.png` | the given background, transparent where it is not known |
| `preview.png` | the inputs, where another video is replaced; else it is there before a frame is |
| `report.json` | every setting, and the files' checksums |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from idol.generate.c2pa import Signer
from idol.generate.depth_files import write_depth
from idol.generate.generator import Generated
from idol.generate.sheet import contact_sheet, shown_frames
from idol.generate.watermark import MESSAGE, SIDE, Watermark, detect
from idol.mp4 import CRF, GENERATED, mp4_writer, spread
from shards.files.atomic import filled_folder
from shards.files.digest import canonical_json, sha256_file

__all__ = ["PREVIEW", "REPORT", "WRITTEN", "enlargement", "write_outputs"]

REPORT, PREVIEW = "report.json", "preview.png"
_LOOKS = 4  # frames of the finished video in which the mark is looked for
_log = logging.getLogger(__name__)
_VIDEO, _DEPTH, _BOTH = "video.mp4", "depth.mp4", "side_by_side.mp4"
_DEPTHS, _SHEET, _BACKGROUND = "depth", "sheet.png", "background.png"
# All that may be replaced.
WRITTEN = (_VIDEO, _DEPTH, _BOTH, _DEPTHS, _SHEET, _BACKGROUND, PREVIEW, REPORT)


def write_outputs(
    folder: Path,
    generated: Generated,
    settings: Mapping[str, Any],
    *,
    watermark: Watermark | None,
    background: tuple[np.ndarray, np.ndarray] | None = None,
    preview: bytes | None = None,
    c2pa: Signer | None = None,
    title: str = "IDOL",
    on_frame: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Write a generated clip into a folder, made if absent; what lies there is replaced.

    All is written aside and then renamed, the report last: where there is a report, all that it
    names is there, whole. The same clip and settings give the same bytes, but for signatures, which
    hold the time.

    Frames smaller than 256 pixels are enlarged by a whole number in the videos; depth is written
    as it is.

    Args:
        settings: plain JSON for the report, which holds them beside what is returned.
        watermark: for `video.mp4` and the left half of `side_by_side.mp4`; flat colours such as
            those of depth hold no mark.
        background: that was given, (S, S, 3) uint8, and its mask (S, S), 255 where it is not known;
            `idol-render` puts it behind the person.
        preview: a PNG that replaces the one of the video that was there; the report, which is the
            same without, does not name it.
        c2pa: signs the three videos.
        title: of the videos and the sheet.
        on_frame: called after each frame of the videos.

    Returns:
        `outputs` (what the videos are), `watermark`, `c2pa`, and `files`: size and SHA-256 by name.

    Raises:
        GenerationError: a library is missing, or a signature cannot be made.
        OSError: the folder cannot be written to.
    """
    with filled_folder(folder, REPORT) as unfinished:
        factor = enlargement(generated.frames.shape[1])
        _write_videos(unfinished, generated, factor, watermark, title, on_frame)
        if c2pa is not None:
            for name in (_VIDEO, _DEPTH, _BOTH):
                signed = unfinished / f"signed-{name}"
                c2pa.sign(unfinished / name, signed, title)
                signed.replace(unfinished / name)
        (unfinished / _DEPTHS).mkdir()
        write_depth(unfinished / _DEPTHS, generated)
        if background is not None:
            (unfinished / _BACKGROUND).write_bytes(_with_hole(*background))
        result = {
            "outputs": {
                "frames": len(generated.frames),
                "fps": generated.fps,
                "size": int(generated.frames.shape[1]),
                "enlarged": factor,
                "codec": f"H.264, crf {CRF}",
                "depth_kind": generated.depth_kind,
                "metres": generated.metres is not None,
                "comment": GENERATED,
            },
            "watermark": None if watermark is None else _read_back(unfinished, watermark),
            "c2pa": None if c2pa is None else {"algorithm": c2pa.algorithm},
            "files": {
                str(path.relative_to(unfinished)): {
                    "bytes": path.stat().st_size,
                    "sha256": sha256_file(path),
                }
                for path in sorted(unfinished.rglob("*"))
                if path.is_file()
            },
        }
        if preview is not None:
            (unfinished / PREVIEW).write_bytes(preview)
        report = canonical_json({**settings, **result}, indent=1)
        (unfinished / REPORT).write_bytes(report)
    return result


def _read_back(folder: Path, watermark: Watermark) -> dict[str, Any]:
    """What the report says of the mark, after a look at whether the written video carries it."""
    with av.open(str(folder / _VIDEO)) as container:
        pictures = container.decode(video=0)
        frames = spread((p.to_ndarray(format="rgb24") for p in pictures), _LOOKS)
    found = detect(frames, watermark.root)
    if not found.marked:
        _log.warning(
            f"the invisible mark cannot be read in {_VIDEO} ({found.agreeing} of 32 bits): its "
            "pictures are too flat to hold it; the metadata say that it is generated"
        )
    return {
        "message": MESSAGE.decode(),
        "every": watermark.every,
        "read_back": {**asdict(found), "marked": found.marked},
    }


def _with_hole(picture: np.ndarray, hole: np.ndarray) -> bytes:
    """A PNG of RGB (S, S, 3), transparent where the hole (S, S) is 255; both uint8."""
    _, data = cv2.imencode(".png", np.dstack([picture[..., ::-1], 255 - hole]))
    return data.tobytes()


def enlargement(size: int) -> int:
    """By how much frames of `size` pixels are enlarged in videos, so that they hold the mark."""
    return max(1, -(-SIDE // size))


def _write_videos(
    folder: Path,
    generated: Generated,
    factor: int,
    watermark: Watermark | None,
    title: str,
    on_frame: Callable[[], None],
) -> None:
    side = generated.frames.shape[1] * factor
    shown = shown_frames(len(generated.frames))
    tiles: dict[str, list[np.ndarray]] = {"frames": [], "depth": []}
    frames: Iterable[np.ndarray] = _enlarged(generated.frames, factor)
    if watermark is not None:
        frames = watermark.mark(frames)
    depths = _enlarged(generated.depth_pictures, factor)
    with ExitStack() as stack:

        def writer(name: str, width: int) -> Callable[[np.ndarray], None]:
            path = folder / name
            return stack.enter_context(mp4_writer(path, side, width, generated.fps, title))

        video, depth, both = writer(_VIDEO, side), writer(_DEPTH, side), writer(_BOTH, 2 * side)
        for index, (frame, picture) in enumerate(zip(frames, depths, strict=True)):
            video(frame)
            depth(picture)
            both(np.concatenate([frame, picture], axis=1))
            if index in shown:
                tiles["frames"].append(frame)
                tiles["depth"].append(picture)
            on_frame()
    times = [index / generated.fps for index in shown]
    sheet = contact_sheet(title, times, tiles, GENERATED)
    (folder / _SHEET).write_bytes(sheet)


def _enlarged(frames: np.ndarray, factor: int) -> Iterator[np.ndarray]:
    side = frames.shape[1] * factor
    for frame in frames:
        if factor > 1:  # smooth, since it is to be looked at
            frame = cv2.resize(frame, (side, side), interpolation=cv2.INTER_CUBIC)
        yield frame
