"""How far a build is, in numbers, for whoever asks meanwhile: its status file and its metrics."""

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from pipelines.plan import Plan
from pipelines.reporter import Reporter, Standing
from shards.manifest import Manifest, Quarantined

__all__ = ["Counts"]

# The rate is that of so many seconds, so that it follows what a build does now.
_WINDOW = 120.0
_EVERY = 1.0  # seconds between two points of the window


class Counts(Reporter):
    """Counts what a build reports. Its clock is one that never jumps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned = self._shards_planned = self._frames = self._workers = 0
        self._committed: Counter[str] = Counter()
        self._quarantined: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._shards = self._bytes = self._kept = self._waiting = self._made = self._failed = 0
        self._began = time.monotonic()
        self._points: deque[tuple[float, int]] = deque()

    def planned(self, plan: Plan, standing: Standing) -> None:
        with self._lock:
            self._planned, self._shards_planned = plan.clips, len(plan.shards)
            self._frames = plan.recipe.frames
            self._waiting = standing.waiting
            self._kept = standing.waiting + standing.clips
            self._committed.update(standing.committed)
            self._quarantined.update(standing.quarantined)
            self._kinds.update(standing.kinds)
            self._shards, self._bytes = standing.shards, standing.bytes

    def starting_ray(self, workers: int, address: str | None) -> None:
        with self._lock:
            self._workers = workers

    def made(self, clips: int, quarantined: Sequence[Quarantined]) -> None:
        with self._lock:
            now = time.monotonic()
            if not self._points or now - self._points[-1][0] >= _EVERY:
                self._points.append((now, self._made))
            while len(self._points) > 2 and now - self._points[0][0] > _WINDOW:
                self._points.popleft()
            self._made += clips
            self._failed += len(quarantined)

    def committed(self, manifest: Manifest) -> None:
        with self._lock:
            self._committed[manifest.split] += len(manifest.samples)
            self._quarantined[manifest.split] += len(manifest.quarantined)
            self._kinds.update(clip.kind for clip in manifest.quarantined)
            self._shards += 1
            self._bytes += manifest.bytes

    def now(self) -> dict[str, Any]:
        """The numbers as plain JSON.

        `committed` and `quarantined` are clips in committed shards, by split; `kinds` the latter
        by kind; `made` and `failed` those of this run, committed or not; `kept` those of earlier
        ones, of which `waiting` had no committed shard. The rate is that of late, None before there
        is one; `workers` are of Ray, 0 where it is not used.
        """
        with self._lock:
            rate = self._rate()
            left = max(0, self._planned - self._kept - self._made)
            return {
                "planned": self._planned,
                "shards_planned": self._shards_planned,
                "frames_per_clip": self._frames,
                "committed": dict(self._committed),
                "quarantined": dict(self._quarantined),
                "kinds": dict(self._kinds),
                "shards": self._shards,
                "bytes": self._bytes,
                "waiting": self._waiting,
                "kept": self._kept,
                "made": self._made,
                "failed": self._failed,
                "workers": self._workers,
                "seconds": round(time.monotonic() - self._began, 3),
                "clips_per_second": rate and round(rate, 4),
                "seconds_left": rate and round(left / rate, 1),
            }

    def _rate(self) -> float | None:
        if not self._points:
            return None
        since, before = self._points[0]
        seconds = time.monotonic() - since
        # The first clip of all is none of the rate: what is started for it is started once.
        made = self._made - max(before, 1)
        return made / seconds if made > 0 and seconds > 0 else None
