"""`idol-bench figures`: the pictures, and `figures.json` with their numbers and what is absent.

    fig3.png   feature maps and motion fields, without the consistency losses and with them
    fig4.png   the hole of pre-training by HAP and by HAOP
    fig5.png   systems side by side (Tab. 1); fig6.png where depth is of the whole frame (Tab. 2)
    fig7.png   poses, temporal modules and pose control (Tab. 3), where such rows were trained
    fig8.png   separate U-Nets, one without and with the losses (Tab. 4 and 5)

What a row lacks is said, and the figure drawn without it; `why` says of one that is not drawn what
it is for, and an earlier picture of it is removed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from idol.bench.claims.errors import ClaimsError
from idol.bench.claims.rows import CODEC
from idol.bench.claims.runs import scores_of
from idol.bench.figures.features import seen_by
from idol.bench.figures.hole import border_contrast, open_border
from idol.bench.figures.sheet import Row, sheet
from idol.config.figures import FiguresConfig
from idol.evaluate.clips import ClipArrays, ScoredClip
from idol.evaluate.folders import open_folder
from idol.evaluate.shard_clips import ShardClip, open_shards
from shards import open_dataset
from shards.files.atomic import write_atomically
from shards.sample.clip import Clip
from shards.sample.colormap import depth_to_hot

__all__ = ["drawn"]

_WITHOUT, _WITH = "cross-modal-attention", "idol"
_HAP, _HAOP = "hap", "idol"
_SYSTEMS = tuple(name + CODEC for name in ("disco", "ldm3d", "mm-diffusion", "idol"))
_MODULES = tuple(
    name + CODEC for name in ("idol", "animatediff", "dwpose-animatediff", "dwpose-animatediff-t2i")
)
_PARTS = ("separate-unets", "cross-modal-attention", "idol")


def drawn(config: FiguresConfig) -> dict[str, Any]:
    """Draw what can be drawn; what `figures.json` says.

    Raises:
        ClaimsError: there are no runs, or their dataset is not known or another one.
        ShardsError, EvaluationError: clips cannot be read.
    """
    runs = _Runs(config)
    for row in dict.fromkeys((_HAP, _HAOP, *_SYSTEMS, *_MODULES, *_PARTS)):
        runs.clips(row)
    said: dict[str, Any] = {"claims": str(config.claims), "seed": config.seed}
    said["fig3"] = _features(config, runs)
    said["fig4"] = _hole(config, runs)
    kind = {truth.depth for truth in runs.truths.values()}
    number = 6 if kind == {"frame"} else 5
    for name, rows in ((f"fig{number}", _SYSTEMS), ("fig7", _MODULES), ("fig8", _PARTS)):
        said[name] = _side_by_side(config, runs, name, rows)
    file = config.out / "figures.json"
    for name in (f"fig{number}" for number in range(3, 9)):
        # Pictures in a folder without ours are somebody's.
        if "why" in said.get(name, {"why": ""}) and file.is_file():
            (config.out / f"{name}.png").unlink(missing_ok=True)
    write_atomically(file, (json.dumps(said, indent=2) + "\n").encode())
    return said


class _Runs:
    """What a seed's runs left, and the clips that they were asked for."""

    def __init__(self, config: FiguresConfig) -> None:
        self._root = config.claims / "runs" / str(config.seed)
        self._config = config
        if not self._root.is_dir():
            raise ClaimsError(
                f"{self._root} does not exist: --claims takes the --out of idol-bench claims, and "
                "--seed one of its seeds"
            )
        self.shards = str(config.shards or self._shards())
        self.split = self._split()
        opened = open_shards(self.shards, self.split, None)
        self.truths = {n: c for n, c in opened.clips.items() if isinstance(c, ShardClip)}

    def video(self, row: str) -> Path | None:
        """The finished stage video of a row."""
        output = self._root / row / "video"
        return output if (output / "model").is_dir() else None

    def clips(self, row: str) -> Mapping[str, ScoredClip]:
        """The clips that a row generated, by their keys; none where it has not yet.

        Raises ClaimsError: there are some, and the dataset has none of them.
        """
        folder = scores_of(self._config.claims, row, self._config.seed) / "clips"
        if not folder.is_dir():
            return {}
        clips = open_folder(folder, videos=False).clips
        known = {name: clip for name, clip in clips.items() if name in self.truths}
        if clips and not known:
            raise ClaimsError(
                f"{self.shards} has none of the clips in {folder}, such as {next(iter(clips))}: "
                "name the dataset that the claims were scored on by --shards"
            )
        return known

    def made(self, row: str) -> Mapping[str, ClipArrays]:
        """Those clips, read."""
        return {name: clip.read() for name, clip in self.clips(row).items()}

    def _shards(self) -> Path:
        file = self._config.claims / "claims.json"
        if not file.is_file():
            raise ClaimsError(
                f"{file} does not exist, for the claims are not finished: name the dataset that "
                "they were scored on by --shards"
            )
        try:
            return Path(json.loads(file.read_bytes())["scored"])
        except (ValueError, KeyError, TypeError) as error:
            raise ClaimsError(
                f"{file} does not say which dataset was scored ({error!r}): name it by --shards"
            ) from error

    def _split(self) -> str | None:
        """That which was scored, as far as the claims say it and the dataset has it: a dataset of
        people held out may have a split val, and is scored by the other."""
        try:
            said = json.loads((self._config.claims / "claims.json").read_bytes())["scored_split"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        there = isinstance(said, str) and open_dataset(self.shards).has_split(said)
        return said if there else None


def _features(config: FiguresConfig, runs: _Runs) -> dict[str, Any]:
    names = {"without": _WITHOUT, "with": _WITH}
    outputs = {word: runs.video(row) for word, row in names.items()}
    if absent := [names[word] for word, output in outputs.items() if output is None]:
        return _not_drawn(absent)
    seen = {
        word: seen_by(output, runs.shards, split=runs.split)
        for word, output in outputs.items()
        if output is not None
    }
    first = next(iter(seen.values()))
    rows: list[Row] = [("frames", _spread(first.frames_FHW3, config.frames))]
    for word, one in seen.items():
        for stream, features in one.features.items():
            rows.append((f"{word}: features, {stream}", _spread(features, config.frames)))
        for stream, motion in one.motion.items():
            rows.append((f"{word}: motion, {stream}", _spread(motion, config.frames)))
    numbers = {word: float(np.mean(one.differences)) for word, one in seen.items()}
    relative = {word: float(np.mean(one.relative)) for word, one in seen.items()}
    caption = f"motion fields differ (Eq. 5, {len(first.differences)} clips) by " + ", ".join(
        f"{numbers[word]:.3g} {word} the losses, {relative[word]:.2f} of what unrelated ones would"
        for word in seen
    )
    write_atomically(config.out / "fig3.png", sheet(f"Fig. 3: {first.key}", caption, rows))
    return {
        "clip": first.key,
        "clips": len(first.differences),
        "rows": names,
        "motion_difference": numbers,
        "relative_difference": relative,
    }


def _hole(config: FiguresConfig, runs: _Runs) -> dict[str, Any]:
    made = {row: runs.made(row) for row in (_HAP, _HAOP)}
    if absent := [row for row, clips in made.items() if not clips]:
        return _not_drawn(absent)
    keys = [key for key in runs.truths if all(key in clips for clips in made.values())]
    if not keys:
        return _not_drawn([])
    contrasts: dict[str, dict[str, float]] = {"true": {}, _HAP: {}, _HAOP: {}}
    openings: dict[str, int] = {}
    for key in keys:
        truth = runs.truths[key].clip()
        frames = {"true": truth.rgb, **{row: clips[key].frames for row, clips in made.items()}}
        count = min(map(len, frames.values()))
        size = frames[_HAP].shape[1:3]
        hole, person = _masks(truth, count, size)
        found = {
            name: border_contrast(_fitted(f[:count], size), hole, person)
            for name, f in frames.items()
        }
        openings[key] = int(open_border(hole, person).sum())
        for name, value in found.items():
            if value is not None:
                contrasts[name][key] = value
    shared = [k for k, open_ in openings.items() if open_]
    if not shared:
        return {"absent": [], "clips": 0, "why": "no hole lies open in any clip"}
    means = {name: float(np.mean([of[k] for k in shared])) for name, of in contrasts.items()}
    shown = sorted(shared, key=lambda k: -openings[k])[: config.clips]
    rows: list[Row] = []
    for key in shown:
        truth = runs.truths[key].clip()
        assert truth.background is not None
        size = made[_HAP][key].frames.shape[1:3]
        hole, _ = _masks(truth, 1, size)
        place = _fitted(truth.background[None], size)[0].copy()
        place[hole] = 128
        rows.append((f"{key}: given", [place, *_spread(truth.rgb, config.frames)]))
        for row, name in ((_HAP, "HAP"), (_HAOP, "HAOP")):
            tiles = _spread(made[row][key].frames, config.frames)
            rows.append((f"{name}, contrast {contrasts[row][key]:.3f}", [place, *tiles]))
    caption = (
        f"contrast along the open border of the hole, mean of {len(shared)} clips: HAP "
        f"{means[_HAP]:.4f}, HAOP {means[_HAOP]:.4f}, the true frames {means['true']:.4f}"
    )
    picture = sheet("Fig. 4: the hole in the background", caption, rows)
    write_atomically(config.out / "fig4.png", picture)
    return {"clips": len(shared), "border_contrast": means, "each": contrasts}


def _side_by_side(
    config: FiguresConfig, runs: _Runs, name: str, systems: Sequence[str]
) -> dict[str, Any]:
    made = {row: runs.made(row) for row in systems}
    absent = [row for row, clips in made.items() if not clips]
    there = {row: clips for row, clips in made.items() if clips}
    keys = [key for key in runs.truths if there and all(key in c for c in there.values())]
    if len(there) < 2 or not keys:
        return _not_drawn(absent if len(there) < 2 else [], absent)
    rows: list[Row] = []
    for key in keys[: config.clips]:
        truth = runs.truths[key].read()
        for row, one in (("true", truth), *((row, clips[key]) for row, clips in there.items())):
            rows.append((row, _spread(one.frames, config.frames)))
            if one.depth is not None:
                rows.append((f"{row}, depth", _spread(_coloured(one), config.frames)))
    number = name.removeprefix("fig")
    caption = f"{', '.join(keys[: config.clips])}; absent: {', '.join(absent) or 'none'}"
    picture = sheet(f"Fig. {number}: systems side by side", caption, rows)
    write_atomically(config.out / f"{name}.png", picture)
    return {"clips": keys[: config.clips], "rows": list(there), "absent": absent}


def _not_drawn(missed: Sequence[str], absent: Sequence[str] | None = None) -> dict[str, Any]:
    """What is said of a figure for want of some rows, or, where none are, of a clip of all."""
    why = f"there is no {', '.join(missed)}" if missed else "no clip is in all rows"
    return {"absent": list(missed if absent is None else absent), "why": why}


def _coloured(clip: ClipArrays) -> np.ndarray:
    assert clip.depth is not None
    if clip.depth_kind == "frame":
        grey = ((1 - clip.depth) * 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    return depth_to_hot(clip.depth)


def _masks(truth: Clip, frames: int, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The background's hole and the person of each frame, as bool of the frames' size."""
    if truth.background_mask is None or truth.mask is None:
        raise ClaimsError(f"{truth.key} has no background or no mask: build with --mask")
    both = [truth.background_mask, *truth.mask[:frames]]
    height, width = size
    hole, *person = (
        cv2.resize(m, (width, height), interpolation=cv2.INTER_NEAREST) > 127 for m in both
    )
    return hole, np.stack(person)


def _fitted(frames_FHW3: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    if frames_FHW3.shape[1:3] == tuple(size):
        return frames_FHW3
    height, width = size
    return np.stack(
        [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames_FHW3]
    )


def _spread(frames: np.ndarray, count: int) -> list[np.ndarray]:
    """So many frames, evenly spaced, the first and the last among them."""
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[i] for i in chosen]
