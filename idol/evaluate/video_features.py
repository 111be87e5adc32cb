"""Frechet distances: features of all frames and snippets, by video, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
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
from shards.files.digest import sha256_file

if TYPE_CHECKING:
    from idol.evaluate.networks import Network

__all__ = ["FEATURES", "SIDES", "FrechetFeatures"]

FEATURES = "features"
"""Folder of the files, beside `scores.json`."""

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


class _Frame:
    """A frame, resized when it is first asked for at a size."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self._sizes: dict[int, np.ndarray] = {}

    def at(self, size: int) -> np.ndarray:
        """(size, size, 3) float32."""
        if size not in self._sizes:
            self._sizes[size] = pil_bicubic(self._pixels[None], size)[0]
        return self._sizes[size]

    def forget(self, size: int) -> None:
        """It is not asked for at this size again."""
        self._sizes.pop(size, None)


class _Distance:
    """One Frechet distance: a network, the step between snippets (None of images), its rows."""

    def __init__(self, name: str, network: Network, step: int | None, folder: Path) -> None:
        self.name, self.network, self.step = name, network, step
        self.rows = {side: _Rows(folder / f"{name}.{side}.f32") for side in SIDES}
        self.cutters: dict[Side, Cutter[_Frame]] = {}


class FrechetFeatures:
    """Streams features of videos into files of a new folder, for distances and comparisons.

    Memory is that of a clip. Files: `{metric}.{side}.f32`, rows of float32, the videos one after
    the other as `scores.json` counts them.
    """

    def __init__(self, config: ScoreConfig, protocol: Protocol, folder: Path) -> None:
        self._config, self._protocol = config, protocol
        self._folder = folder
        self._distances: list[_Distance] = []
        self._short: set[str] = set()

    @classmethod
    def load(
        cls, config: ScoreConfig, protocol: Protocol, planned: Plan, folder: Path
    ) -> FrechetFeatures:
        """Load the networks that are wanted; those that are absent leave their metrics out."""
        from idol.evaluate.annotate.folder import evaluation_cache
        from idol.evaluate.networks import load_network

        made = cls(config, protocol, folder)
        cache = evaluation_cache(config.cache) / "features"
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
                    cache=cache,
                )
            except MissingNetwork as error:
                planned.drop(need, str(error))
                continue
            if said.weights not in ("recorded", network.checksum):
                planned.drop(
                    need,
                    f"the weights of {said.network} here ({network.checksum[:12]}) are not the "
                    f"protocol's ({said.weights[:12]})",
                )
                continue
            for name in [m.name for m in planned.chosen if need in m.needs]:
                steps = protocol.snippets.steps
                step = None if base == "fid" else steps[-1 if name.endswith("_stride1") else 0]
                made._distances.append(_Distance(name, network, step, made._folder))
        return made

    def add(self, video: str, watched: Watched) -> None:
        """Count the next clip of a video in."""
        arrays = (watched.generated.frames, watched.reference.frames)
        numbers = watched.pair.reference.numbers
        for n, side in enumerate(SIDES):
            film = [_Frame(pixels) for pixels in watched.videos[n]]
            for distance in self._distances:
                found = (
                    self._of_images(distance, arrays[n])
                    if distance.step is None
                    else self._of_snippets(distance, side, numbers, film)
                )
                for rows in found:
                    distance.rows[side].append(video, rows)
        if len(watched.videos[0]) < self._protocol.snippets.frames:
            self._short.add(watched.pair.name)

    def end(self) -> None:
        """The video has no more clips."""
        for distance in self._distances:
            distance.cutters.clear()

    def _of_images(self, distance: _Distance, frames: np.ndarray) -> Iterator[np.ndarray]:
        resize, batch = _RESIZE[self._protocol.fid.resize], self._config.batch
        frames = frames if self._protocol.images.frames == "every" else frames[:1]
        for start in range(0, len(frames), batch):
            resized = resize(frames[start : start + batch], distance.network.size)
            yield distance.network(resized)

    def _of_snippets(
        self, distance: _Distance, side: Side, numbers: tuple[int, ...], film: list[_Frame]
    ) -> Iterator[np.ndarray]:
        snippets, step, network = self._protocol.snippets, distance.step, distance.network
        assert step is not None
        cutter = distance.cutters.setdefault(side, Cutter(snippets, step))
        said = self._protocol.fid_fvd if distance.name.startswith("fid_fvd") else self._protocol.fvd
        cut = cutter.push(numbers or range(len(film)), film)
        for waiting in _batched(cut, max(self._config.batch // 8, 1)):
            ready = [np.stack([frame.at(network.size) for frame in snippet]) for snippet in waiting]
            if snippets.cut != "folders":
                yield network(np.stack(ready))
            elif said.padding == "last frame":
                for one in ready:
                    yield network(segments(one, snippets.frames)).mean(0, keepdims=True)
            else:
                for one in ready:
                    yield network(one[None])
            for snippet in waiting:
                for frame in snippet[:step]:
                    frame.forget(network.size)

    def distances(self, planned: Plan) -> dict[str, dict[str, Any]]:
        """Each distance with its interval over videos; those without two rows are left out."""
        from idol.evaluate.bootstrap import frechet_interval
        from idol.evaluate.features import VideoRows

        found: dict[str, dict[str, Any]] = {}
        for distance in self._distances:
            rows = {side: distance.rows[side].read(distance.network.features) for side in SIDES}
            counts = {side: [*distance.rows[side].counts.values()] for side in SIDES}
            least = min(map(len, rows.values()))
            if least < 2:
                what = "frames" if distance.step is None else "snippets"
                there = "one" if least else "none"
                planned.absent[distance.name] = (
                    f"a Frechet distance needs two {what} on both sides, and one has {there}"
                )
                continue
            sides = [VideoRows.of(rows[side], counts[side]) for side in SIDES]
            found[distance.name] = frechet_interval(
                *sides, samples=self._config.samples, seed=self._config.seed
            ).as_json()
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
                "file": f"{FEATURES}/{d.name}.SIDE.f32",
                "file_sha256": {side: _checksum(d.rows[side].file) for side in SIDES},
                "rows": {side: d.rows[side].counts for side in SIDES},
            }
            for d in self._distances
        }


def _checksum(file: Path) -> str | None:
    """None where a side has no rows, and no file."""
    return sha256_file(file) if file.exists() else None


def _batched(snippets: Iterable[list[_Frame]], count: int) -> Iterator[list[list[_Frame]]]:
    """So many at a time."""
    waiting = iter(snippets)
    while batch := list(islice(waiting, count)):
        yield batch
