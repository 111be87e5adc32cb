"""What a plan will cost, measured on one of its clips rather than guessed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pipelines.build import Where
from pipelines.plan import Plan, Task
from pipelines.worker import Made, Worker
from preprocess.errors import InputError

__all__ = ["Estimate", "estimate"]

TRIES = 6


@dataclass(frozen=True)
class Estimate:
    """Seconds are those of one worker on this machine; `survey_seconds` are paid once a video."""

    clip_seconds: float
    survey_seconds: float
    clip_bytes: int
    workers: int
    total_seconds: float  # with these workers, if there are as many cores
    total_bytes: int


def estimate(plan: Plan, where: Where) -> Estimate:
    """Make one of the plan's clips twice: the second time its video is known already.

    Raises InputError when weights are missing, or when none of the clips tried can be made.
    """
    setup = where.setup(plan)
    worker = Worker(plan, setup)
    failures = []
    for task in _single_clips(plan):
        started = time.perf_counter()
        (clip,) = worker.run(task).clips
        if isinstance(clip, Made):
            break
        failures.append(f"{clip.key}: {clip.reason}")
    else:
        raise InputError("none of the clips tried can be made; " + "; ".join(failures))
    again = time.perf_counter()
    worker.run(task)
    clip_seconds = time.perf_counter() - again
    survey_seconds = max(again - started - clip_seconds, 0.0)
    clip_bytes = sum(len(data) for _, data in clip.members)
    videos = len({c.video for shard in plan.shards.values() for c in shard})
    total = plan.clips * clip_seconds + videos * survey_seconds
    workers = max(where.cluster(plan, setup).workers, 1)
    return Estimate(
        clip_seconds,
        survey_seconds,
        clip_bytes,
        workers,
        total / workers,
        plan.clips * clip_bytes,
    )


def _single_clips(plan: Plan) -> list[Task]:
    """A few clips spread over the plan: the first may show nobody."""
    clips = [(split, shard, clip) for (split, shard), cs in plan.shards.items() for clip in cs]
    step = max(1, len(clips) // TRIES)
    return [
        Task(split, shard, 0, clip.video, (clip.first_frame,))
        for split, shard, clip in clips[::step][:TRIES]
    ]
