"""Pictures of the frames in which an annotator is furthest from the truth."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from idol.bench.annotators.compare import Compared, depth_of
from idol.bench.annotators.entries import Option
from idol.bench.annotators.truth import BODY
from shards.inspect.page import fitted
from shards.sample.keypoints import COCO_18, Keypoints
from shards.sample.skeleton import draw_poses

__all__ = ["COUNT", "Worst", "badness"]

COUNT = 10  # frames of each annotator, one of a clip
_TILE = 256
_LINE = 18  # pixels of a caption
_SPAN = 0.3  # metres about the mid-hip, or of error, that colours tell apart


def badness(option: Option, figures: dict[str, float]) -> float:
    """How bad a frame is, to order frames by: NaN where its figures say nothing."""
    if option == "pose":
        error = figures["error"]
        return 1 - figures["pck_10"] + (0 if math.isnan(error) else min(error, 1.0) / 10)
    if option == "mask":
        return 1 - figures["iou"]
    error = figures["error_cm"]
    return figures["aligned_cm"] if math.isnan(error) else error


@dataclass(eq=False)
class Worst:
    """Keeps the worst frames of each annotator while clips go by."""

    _kept: dict[str, list[tuple[float, int, np.ndarray]]] = field(default_factory=dict)
    _order: count[int] = field(default_factory=count)

    def look(self, compared: Compared) -> None:
        """The worst frame of a clip, if it is worse than those kept."""
        option = compared.entry.option
        bad = np.array(
            [
                badness(option, {name: values[t] for name, values in compared.figures.items()})
                for t in range(len(compared.frames))
            ]
        )
        if np.isnan(bad).all():
            return
        t = int(np.nanargmax(bad))
        name = f"{option}-{compared.entry.name}".replace(":", "-").replace("/", "-")
        kept = self._kept.setdefault(name, [])
        if len(kept) < COUNT or bad[t] > kept[0][0]:
            item = (float(bad[t]), -next(self._order), _picture(compared, t))
            if len(kept) < COUNT:
                heapq.heappush(kept, item)
            else:
                heapq.heapreplace(kept, item)

    def write(self, folder: Path) -> list[Path]:
        """One PNG of each annotator, the worst frame on top: frame, truth, what was found, and of
        depth the error."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, kept in sorted(self._kept.items()):
            sheet = np.concatenate([picture for *_, picture in sorted(kept, reverse=True)])
            path = folder / f"{name}.png"
            cv2.imwrite(str(path), sheet[..., ::-1])
            paths.append(path)
        return paths


def _picture(compared: Compared, t: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a row of tiles under a line that says which frame this is."""
    tiles = [compared.true.rgb[t], *_TILES[compared.entry.option](compared, t)]
    row = np.concatenate([fitted(tile, _TILE, _TILE) for tile in tiles], axis=1)
    line = np.full((_LINE, row.shape[1], 3), 255, np.uint8)
    figures = ", ".join(
        f"{name} {values[t]:.2f}"
        for name, values in compared.figures.items()
        if not math.isnan(values[t])
    )
    text = f"{compared.video}:{compared.frames[t]}  {figures}"
    cv2.putText(line, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([line, row])


def _pose_tiles(compared: Compared, t: int) -> list[np.ndarray]:
    true = compared.true
    clip = compared.clip
    tiles = [_skeleton(true.rgb[t], true.joints[t, :1])]
    points = None if clip is None else clip.keypoints
    tiles.append(true.rgb[t] if points is None else _skeleton(true.rgb[t], points[t, :1, :BODY]))
    return tiles


def _skeleton(rgb: np.ndarray, people: np.ndarray) -> np.ndarray:
    scale = _TILE / len(rgb)
    points = people.astype(np.float32) * np.array([scale, scale, 1], np.float32)
    drawn = draw_poses(Keypoints(points[None], COCO_18), (_TILE, _TILE), "openpose", min_score=1e-6)
    dark = fitted(rgb, _TILE, _TILE) // 2
    return np.where(drawn[0].any(-1, keepdims=True), drawn[0], dark)


def _mask_tiles(compared: Compared, t: int) -> list[np.ndarray]:
    true, clip = compared.true, compared.clip
    found = None if clip is None else clip.mask
    masks = [true.masks[t, 0], np.zeros_like(true.masks[t, 0]) if found is None else found[t]]
    return [np.where(mask[..., None] > 127, true.rgb[t], true.rgb[t] // 5) for mask in masks]


def _depth_tiles(compared: Compared, t: int) -> list[np.ndarray]:
    true = compared.true
    hips = true.mid_hip(t)
    truth = true.depth[t] - hips
    truth = np.where(true.masks[t, 0] > 127, truth, np.nan)
    found = depth_of(compared.entry, compared.clip)
    if found is None:
        return [_coloured(truth), _coloured(np.full_like(truth, np.nan))]
    estimate = found[t].astype(np.float64)
    if np.isnan(compared.figures["error_cm"][t]):  # in a unit of its own: as it fits best
        both = np.isfinite(truth) & np.isfinite(estimate)
        scale, shift = np.polyfit(estimate[both], truth[both], 1)
        estimate = scale * estimate + shift
    elif not compared.entry.annotators.depths[0].annotator.unit.startswith("metres from the hips"):
        estimate = estimate - hips
    return [_coloured(truth), _coloured(estimate), _coloured(estimate - truth)]


def _coloured(metres: np.ndarray) -> np.ndarray:
    """Near is red, far blue, green is 0; white where there is none."""
    share = np.clip(np.nan_to_num(0.5 - metres / (2 * _SPAN)), 0, 1)
    colours = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return np.where(np.isfinite(metres)[..., None], colours, 255).astype(np.uint8)


_TILES = {"pose": _pose_tiles, "mask": _mask_tiles, "depth": _depth_tiles}
