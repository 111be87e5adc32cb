"""Contact sheets of held-out clips drawn by a seed, none chosen: docs/laptop-model.md.

    python bench/contact_sheets.py SHARDS RUN --out docs/images/held-out
    python bench/contact_sheets.py SHARDS RUN --first 10 --out docs/images/people64.jpg

RUN is what `idol-eval run --shards SHARDS --out RUN` left: the very frames that were scored. A
sheet has what is given (the person, the place), then eight frames: the pose, the truth, what was
made, and the depth of both. `--first` draws so many clips, in their order, on one page: a row each,
with two frames of it.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from idol.errors import IdolError
from idol.evaluate.shard_clips import open_shards
from idol.generate.generator import conditions_of
from idol.generate.sheet import contact_sheet, shown_frames
from shards.command import run
from shards.errors import ShardsError
from shards.sample.clip import Clip
from shards.sample.colormap import depth_to_hot, grey_to_depth

QUALITY = 80  # of JPEG
WIDTH = 1000  # pixels


def pictures(clip: Clip, made: Path, frames: Sequence[int]) -> dict[str, list[np.ndarray]]:
    """What is given, and of these frames the truth and what was made in folder `made`, RGB."""
    given = conditions_of(clip)
    mask = given.foreground_mask[..., None] > 127
    person = np.where(mask, given.foreground, np.uint8(255))
    hidden = given.background_mask[..., None] > 127
    place = np.where(hidden, np.uint8(127), given.background)
    assert clip.depth_person is not None
    return {
        "given": [person, place],
        "pose": [given.skeletons[n] for n in frames],
        "truth": [clip.rgb[n] for n in frames],
        "made": [_read(made / "rgb" / f"{n:03d}.png")[..., ::-1] for n in frames],
        "true depth": [depth_to_hot(clip.depth_person[n]) for n in frames],
        "made depth": list(depth_to_hot(made_in(made, frames))),
    }


def made_in(made: Path, frames: Sequence[int]) -> np.ndarray:
    """(F, H, W) float32 in [0, 1]: the depth of these frames in a folder of what was made."""
    return np.stack([grey_to_depth(_read(made / "depth" / f"{n:03d}.png")) for n in frames])


def row(clip: Clip, made: Path) -> np.ndarray:
    """A clip as a row of tiles: who and where, then everything of its first and seventh frame."""
    rows = pictures(clip, made, (0, min(6, len(clip.rgb) - 1)))
    tiles = rows.pop("given") + [tile for pair in zip(*rows.values(), strict=True) for tile in pair]
    edge = {"value": (255, 255, 255), "borderType": cv2.BORDER_CONSTANT}
    return np.concatenate([cv2.copyMakeBorder(t, 1, 1, 1, 1, **edge) for t in tiles], axis=1)


def page(rows: Sequence[np.ndarray]) -> bytes:
    """Rows, twice as large, as a JPEG."""
    image = np.concatenate(rows)[..., ::-1]
    larger = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".jpg", larger, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def sheet(clip: Clip, made: Path) -> bytes:
    """The JPEG of a clip, and of what was made from its conditions in folder `made`."""
    given = conditions_of(clip)
    frames = shown_frames(len(clip.rgb))
    rows = pictures(clip, made, frames)
    key = clip.info["key"]
    png = contact_sheet(key, [n / given.fps for n in frames], rows, "given: who and where")
    drawn = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    height = round(drawn.shape[0] * WIDTH / drawn.shape[1])
    drawn = cv2.resize(drawn, (WIDTH, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise IdolError(f"{path} is not there: run idol-eval run on these shards first")
    return image


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("shards")
    parser.add_argument("run", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    clips = open_shards(arguments.shards, arguments.split, None, None).clips
    made = arguments.run / "clips"
    if arguments.first:
        rows = [row(clips[key].clip(), made / key) for key in sorted(clips)[: arguments.first]]  # type: ignore[attr-defined]
        arguments.out.write_bytes(page(rows))
        return 0
    if arguments.count > len(clips):
        raise IdolError(f"{arguments.shards} has {len(clips)} clips: --count is at most that")
    drawn = random.Random(arguments.seed).sample(sorted(clips), arguments.count)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number, key in enumerate(drawn, start=1):
        path = arguments.out / f"{number:02d}.jpg"
        path.write_bytes(sheet(clips[key].clip(), made / key))  # type: ignore[attr-defined]
        print(f"{path}: {key}")
    return 0


if __name__ == "__main__":
    sys.exit(run("contact_sheets.py", main, errors=(IdolError, ShardsError, OSError)))
