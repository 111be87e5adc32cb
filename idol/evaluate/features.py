"""Features of videos: extracted once, kept in one file by content, read a block at a time.

A store is a folder for one network and one way of preparing frames: `rows.f32`, rows of float32 one
after the other, and `index.jsonl`, a line for each video with the checksum of its content, where
its rows are, and their own checksum. Both only grow, so that a process that is killed loses the
video at hand and no other, and several may write at once.
"""

import json
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from idol.evaluate.errors import EvaluationError
from idol.evaluate.moments import Moments, read_rows
from shards.files.digest import canonical_json, sha256
from shards.files.locks import exclusive
from shards.threads import map_ahead

__all__ = ["Extractor", "FeatureStore", "VideoRows", "content_digest", "extract"]

_log = logging.getLogger(__name__)

_ROWS, _INDEX, _LOCK = "rows.f32", "index.jsonl", ".lock"
# Rows that are read at a time for moments: 32 MB of 2048 features.
_BLOCK = 4096


class Extractor(Protocol):
    """What makes features: `idol.evaluate.networks.Network`, or anything like it."""

    @property
    def fingerprint(self) -> str:
        """What its features depend on besides frames, for the names of what is kept."""
        ...

    @property
    def features(self) -> int:
        """Numbers in a row."""
        ...

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Features, (N, features) float32, of what the network takes; see `Network`."""
        ...


def content_digest(frames: np.ndarray) -> str:
    """SHA-256 of an array's shape, dtype and values: what a video's features are cached by."""
    frames = np.ascontiguousarray(frames)
    head = f"{frames.dtype.str} {frames.shape}\n".encode()
    return sha256(head + frames.tobytes())


@dataclass(frozen=True, eq=False)
class VideoRows:
    """Features of several videos.

    Attributes:
        rows: (N, D); where it is memory-mapped from a file, it is read in blocks, so that memory
            does not grow with it.
        spans: (V, 2), the first row of each video and the one after its last.
    """

    rows: np.ndarray
    spans: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, counts: Sequence[int]) -> Self:
        """Videos one after the other, each of so many rows.

        Raises EvaluationError when the counts are not those of the rows.
        """
        ends = np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))])
        if rows.ndim != 2 or min(counts, default=0) < 0 or ends[-1] != len(rows):
            raise EvaluationError(
                f"features have shape {rows.shape}, and their videos have {ends[-1]} rows"
            )
        return cls(rows, np.stack([ends[:-1], ends[1:]], axis=1))

    @property
    def videos(self) -> int:
        return len(self.spans)

    @property
    def count(self) -> int:
        """Rows of all videos together."""
        return int((self.spans[:, 1] - self.spans[:, 0]).sum())

    @property
    def features(self) -> int:
        return int(self.rows.shape[1])

    def read(self, videos: Iterable[int]) -> np.ndarray:
        """(n, D) rows of these videos, one after the other; a video may come twice."""
        parts = [read_rows(self.rows, *self.spans[video]) for video in videos]
        return np.concatenate(parts) if parts else np.zeros((0, self.features), np.float32)

    def blocks(self, videos: Iterable[int] | None = None) -> Iterator[np.ndarray]:
        """The rows of these videos, or of all, in blocks of about 4096 rows."""
        waiting: list[np.ndarray] = []
        held = 0
        for start, stop in self._runs(range(self.videos) if videos is None else videos):
            while start < stop:
                end = min(stop, start + _BLOCK - held)
                waiting.append(read_rows(self.rows, start, end))
                held, start = held + end - start, end
                if held >= _BLOCK:
                    yield np.concatenate(waiting)
                    waiting, held = [], 0
        if waiting:
            yield np.concatenate(waiting)

    def _runs(self, videos: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Spans of rows, those that lie one behind the other joined."""
        start = stop = 0
        for video in videos:
            first, end = map(int, self.spans[video])
            if first != stop:
                yield start, stop
                start = first
            stop = end
        yield start, stop

    def moments(self) -> Moments:
        """Mean and covariance of all rows, a block at a time."""
        moments = Moments(self.features)
        for block in self.blocks():
            moments.add(block)
        return moments


@dataclass(frozen=True)
class _Entry:
    start: int
    rows: int
    crc: int


class FeatureStore:
    """Features by content, in one file; see the module. Safe to use from several processes.

    Args:
        folder: of the store, made if absent.
        network: whose features these are.
        prepared: how frames are made ready for it, in plain JSON: resizing, snippets. Features of
            another network or preparation lie in another folder below this one.
    """

    def __init__(self, folder: Path, network: Extractor, prepared: object = None) -> None:
        said = {"network": network.fingerprint, "prepared": prepared}
        self.folder = folder / sha256(canonical_json(said))[:16]
        self.features = network.features
        self._entries: dict[str, _Entry] = {}
        self._read_to = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        self._refresh()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: str) -> np.ndarray | None:
        """(n, D) features of a video, or None where it is not here or its rows are damaged."""
        if digest not in self._entries:
            self._refresh()
        entry = self._entries.get(digest)
        if entry is None:
            return None
        rows = read_rows(self._mapped(), entry.start, entry.start + entry.rows)
        if zlib.crc32(rows.tobytes()) != entry.crc or len(rows) != entry.rows:
            _log.warning("%s: damaged features of one video are computed anew", self.folder)
            del self._entries[digest]
            return None
        return rows

    def add(self, digest: str, features: np.ndarray) -> None:
        """Keep a video's features, (n, D). Raises EvaluationError for another D, OSError."""
        rows = np.ascontiguousarray(features, "<f4")
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise EvaluationError(f"features have shape {rows.shape}, not (n, {self.features})")
        width = 4 * self.features
        with exclusive(self.folder / _LOCK, optional=True):
            with (self.folder / _ROWS).open("ab") as file:
                # What a killed process left of a row is no row: the next one starts behind it.
                file.write(bytes(-file.tell() % width))
                start = file.tell() // width
                file.write(rows.tobytes())
            entry = _Entry(start, len(rows), zlib.crc32(rows.tobytes()))
            line = {"video": digest, **asdict(entry)}
            with (self.folder / _INDEX).open("ab") as file:
                before = b"" if self._ends_a_line() else b"\n"
                file.write(before + canonical_json(line))
        self._entries[digest] = entry

    def videos(self, digests: Sequence[str]) -> VideoRows:
        """The features of these videos, memory-mapped. Raises EvaluationError for one not here."""
        spans = np.zeros((len(digests), 2), np.int64)
        for number, digest in enumerate(digests):
            entry = self._entries.get(digest)
            if entry is None:
                raise EvaluationError(f"{self.folder} has no features of video {digest}")
            spans[number] = entry.start, entry.start + entry.rows
        return VideoRows(self._mapped(), spans)

    def _ends_a_line(self) -> bool:
        path = self.folder / _INDEX
        if not path.exists() or not path.stat().st_size:
            return True
        with path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) == b"\n"

    def _mapped(self) -> np.ndarray:
        path = self.folder / _ROWS
        rows = path.stat().st_size // (4 * self.features) if path.exists() else 0
        if not rows:
            return np.zeros((0, self.features), np.float32)
        return np.memmap(path, "<f4", "r", shape=(rows, self.features))

    def _refresh(self) -> None:
        """Read what others have added to the index; a line that was cut off is passed over."""
        try:
            with (self.folder / _INDEX).open("rb") as file:
                file.seek(self._read_to)
                added = file.read()
        except FileNotFoundError:
            return
        whole = added[: added.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            try:
                said = json.loads(line)
                entry = _Entry(int(said["start"]), int(said["rows"]), int(said["crc"]))
                self._entries[said["video"]] = entry
            except (ValueError, KeyError, TypeError):
                continue


def extract(
    network: Extractor,
    store: FeatureStore,
    videos: Iterable[tuple[str, Callable[[], np.ndarray]]],
    *,
    batch: int = 32,
    decoders: int = 2,
) -> VideoRows:
    """Features of videos, from the store or else computed and kept there; in the given order.

    Decoding runs ahead in threads while the network computes; items of several videos share a
    batch. Memory is that of two batches and of the videos that are being decoded.

    Args:
        network: called with `(n, ...)` items, frames or snippets.
        store: of this network.
        videos: content digest, and what gives the video's items ready for the network.
        batch: items at a time.
        decoders: threads that prepare videos.

    Raises what reading a video raises.
    """
    digests: list[str] = []
    waiting: list[tuple[str, np.ndarray]] = []

    def compute() -> None:
        features = network(np.concatenate([items for _, items in waiting]))
        ends = np.cumsum([len(items) for _, items in waiting])
        for (digest, _), rows in zip(waiting, np.split(features, ends[:-1]), strict=True):
            store.add(digest, rows)
        waiting.clear()

    def missing() -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
        asked: set[str] = set()
        for digest, prepare in videos:
            digests.append(digest)
            if digest not in asked and store.get(digest) is None:
                asked.add(digest)
                yield digest, prepare

    prepared = map_ahead(_prepared, missing(), decoders, 2 * decoders, "decoder")
    for digest, items in prepared:
        if len(items):
            waiting.append((digest, items))
        else:
            store.add(digest, np.zeros((0, store.features), np.float32))
        if sum(len(items) for _, items in waiting) >= batch:
            compute()
    if waiting:
        compute()
    return store.videos(digests)


def _prepared(video: tuple[str, Callable[[], np.ndarray]]) -> tuple[str, np.ndarray]:
    digest, prepare = video
    return digest, prepare()
