"""Frechet distances: features of all frames and snippets, by video, and what comes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from idol.config.evaluate import ScoreConfig
from idol.evaluate.availability import Plan
from idol.evaluate.devices import device_of
from idol.evaluate.errors import MissingNetwork
from idol.evaluate.measure import Watched
from idol.evaluate.protocols import ImageNetwork, Protocol, VideoNetwork
from idol.evaluate.resize import pil_bicubic, torch_bilinear
from idol.evaluate.snippets import Cutter, segments

if TYPE_CHECKING:
    from idol.evaluate.networks import Network

__all__ = ["SIDES", "FrechetFeatures"]

Side = Literal["generated", "reference"]
SIDES: tuple[Side, Side] = ("generated", "reference")
_NEEDS = {"fid": "inception", "fvd": "i3d", "fid_fvd": "resnet3d"}
_RESIZE = {"pil-bicubic": pil_bicubic, "torch-bilinear": torch_bilinear}


@dataclass
class _Rows:
    """A side's features, streamed into a file of float32, and how many each video has."""

    file: Path
    counts: dict[str, int] = field(default_factory=dict)

    def append(self, video: str, rows: np.ndarray) -> None:
        with self.file.open("ab") as opened:
            opened.write(np.ascontiguousarray(rows, np.float32).tobytes())
        self.counts[video] = self.counts.get(video, 0) + len(rows)

    def read(self, width: int) -> np.ndarray:
        """(N, width), memory-mapped."""
        total = sum(self.counts.values())
        if not total:
            return np.zeros((0, width), np.float32)
        return np.memmap(self.file, np.float32, "r", shape=(total, width))


class _Distance:
    """One Frechet distance: a network, the step between snippets (None of images), its rows."""

    def __init__(self, name: str, network: Network, step: int | None, folder: Path) -> None:
        self.name, self.network, self.step = name, network, step
        self.rows = {side: _Rows(folder / f"{name}.{side}.f32") for side in SIDES}
        for rows in self.rows.values():
            rows.file.unlink(missing_ok=True)
        self.cutters: dict[Side, Cutter] = {}


class FrechetFeatures:
    """Streams features of videos into files beside the scores, for distances and comparisons.

    Memory is that of a clip. Files: `features/{metric}.{side}.f32`, rows of float32, the videos one
    after the other as `scores.json` counts them.
    """

    def __init__(self, config: ScoreConfig, protocol: Protocol) -> None:
        self._config, self._protocol = config, protocol
        self._folder = config.out / "features"
        self._distances: list[_Distance] = []
        self._short: set[str] = set()

    @classmethod
    def load(cls, config: ScoreConfig, protocol: Protocol, planned: Plan) -> FrechetFeatures:
        """Load the networks that are wanted; those that are absent leave their metrics out."""
        from idol.evaluate.networks import load_network

        made = cls(config, protocol)
        made._folder.mkdir(parents=True, exist_ok=True)
        for base, need in _NEEDS.items():
            if not planned.wants(need):
                continue
            said: ImageNetwork | VideoNetwork = getattr(protocol, base)
            scale = said.scale if isinstance(said, ImageNetwork) else "tensorflow"
            try:
                device = device_of(config.device)
                network = load_network(
                    said.network,
                    folder=config.weights,
                    device=device,
                    scale=scale,
                    cache=config.features or made._folder / "kept",
                )
            except MissingNetwork as error:
                planned.drop(need, str(error))
                continue
            names = [m.name for m in planned.chosen if need in m.needs]
            for name in names:
                steps = protocol.snippets.steps
                step = None if base == "fid" else steps[-1 if name.endswith("_stride1") else 0]
                made._distances.append(_Distance(name, network, step, made._folder))
        return made

    def add(self, video: str, watched: Watched) -> None:
        """Count the next clip of a video in."""
        arrays = (watched.generated.frames, watched.reference.frames)
        numbers = watched.pair.reference.numbers
        for distance in self._distances:
            for side, frames, film in zip(SIDES, arrays, watched.videos, strict=True):
                if distance.step is None:
                    self._add_images(video, distance, side, frames)
                else:
                    self._add_snippets(video, distance, side, numbers, film)
        if not watched.pair.reference.numbers or len(numbers) < self._protocol.snippets.frames:
            self._short.add(watched.pair.name)

    def end(self, video: str) -> None:
        """The video has no more clips."""
        for distance in self._distances:
            distance.cutters.clear()

    def _add_images(self, video: str, distance: _Distance, side: Side, frames: np.ndarray) -> None:
        said = self._protocol.fid
        frames = frames if self._protocol.images.frames == "every" else frames[:1]
        for start in range(0, len(frames), self._config.batch):
            resized = _RESIZE[said.resize](
                frames[start : start + self._config.batch], distance.network.size
            )
            distance.rows[side].append(video, distance.network(resized))

    def _add_snippets(
        self,
        video: str,
        distance: _Distance,
        side: Side,
        numbers: tuple[int, ...],
        frames: np.ndarray,
    ) -> None:
        snippets, step = self._protocol.snippets, distance.step
        assert step is not None
        cutter = distance.cutters.setdefault(side, Cutter(snippets, step))
        resized = pil_bicubic(frames, distance.network.size)
        padded = distance.name.startswith("fid_fvd") and snippets.cut == "folders"
        for snippet in cutter.push(numbers or range(len(frames)), resized):
            if padded:
                rows = distance.network(segments(snippet, snippets.frames))
                distance.rows[side].append(video, rows.mean(0, keepdims=True))
            else:
                distance.rows[side].append(video, distance.network(snippet[None]))

    def distances(self, planned: Plan) -> dict[str, dict[str, Any]]:
        """Each distance with its interval over videos; those without two rows are left out."""
        from idol.evaluate.intervals import frechet_interval

        found: dict[str, dict[str, Any]] = {}
        for distance in self._distances:
            rows = {side: distance.rows[side].read(distance.network.features) for side in SIDES}
            least = min(map(len, rows.values()))
            if least < 2:
                what = "frames" if distance.step is None else "snippets"
                there = "one" if least else "none"
                planned.absent[distance.name] = (
                    f"a Frechet distance needs two {what} on both sides, and one has {there}"
                )
                continue
            counts = {side: [*distance.rows[side].counts.values()] for side in SIDES}
            found[distance.name] = frechet_interval(
                rows["generated"],
                rows["reference"],
                counts["generated"],
                counts["reference"],
                samples=self._config.samples,
                seed=self._config.seed,
            )
        return found

    def counts(self) -> dict[str, Any]:
        """Frames or snippets that each distance saw, and clips too short for a snippet."""
        seen = {d.name: sum(d.rows["reference"].counts.values()) for d in self._distances}
        short = sorted(self._short) if self._protocol.snippets.short == "left out" else []
        return {"seen_by_networks": seen, "clips_without_snippet": len(short)}

    def networks(self) -> Mapping[str, Any]:
        """Which network each distance is of, with the checksum of its weights."""
        return {
            d.name: {
                "name": d.network.name,
                "sha256": d.network.checksum,
                "features": d.network.features,
                "file": f"features/{d.name}.SIDE.f32",
                "rows": {side: d.rows[side].counts for side in SIDES},
            }
            for d in self._distances
        }
