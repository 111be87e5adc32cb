"""What a plan will cost, measured on its first clip rather than guessed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pipelines.build import Where
from pipelines.plan import Plan, Task
from pipelines.worker import Made, Worker
from preprocess.errors import InputError

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True)
class Estimate:
    """Seconds are those of one worker on this machine; `survey_seconds` are paid once a video."""

    clip_seconds: float
    survey_seconds: float
    clip_bytes: int
    total_seconds: float  # with the workers asked for, if there are as many cores
    total_bytes: int


def estimate(plan: Plan, where: Where) -> Estimate:
    """Make the plan's first clip twice: the second time its video is known already.

    Raises InputError when weights are missing or the first clip cannot be made.
    """
    (split, index), clips = next(iter(plan.shards.items()))
    task = Task(split, index, 0, clips[0].video, (clips[0].first_frame,))
    worker = Worker(plan, where.source, where.weights)
    started = time.perf_counter()
    (clip,) = worker.run(task).clips
    again = time.perf_counter()
    worker.run(task)
    clip_seconds = time.perf_counter() - again
    if not isinstance(clip, Made):
        raise InputError(f"the first clip ({clip.key}) cannot be made: {clip.reason}")
    survey_seconds = max(again - started - clip_seconds, 0.0)
    clip_bytes = sum(len(data) for _, data in clip.members)
    videos = len({c.video for shard in plan.shards.values() for c in shard})
    total = plan.clips * clip_seconds + videos * survey_seconds
    return Estimate(
        clip_seconds,
        survey_seconds,
        clip_bytes,
        total / max(where.workers, 1),
        plan.clips * clip_bytes,
    )
