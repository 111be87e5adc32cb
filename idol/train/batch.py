"""How a step's clips are divided: among processes, passes, and the clips of a pass.

The clips of a step decide what is learnt, and are asked for; how they are divided decides speed and
memory alone, up to rounding. A run that resumes keeps the division that it began with.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from idol.config.train import TrainConfig
from idol.train.memory import estimate
from idol.train.stopping import TrainError
from shards.inspect.console import human_bytes

__all__ = ["divided"]

# Of the free memory; the rest is for what the allocator needs beside, and for sampling.
_FRACTION = 0.85


def divided(
    config: TrainConfig,
    processes: int,
    free: int | None,
    saved: Mapping[str, Any] | None = None,
) -> tuple[TrainConfig, str]:
    """The configuration with clips a pass and passes a step as numbers, and what to say of it.

    Args:
        free: bytes free on each process's GPU; None on a CPU, where a pass of `auto` is one clip.
        saved: the configuration with which a run that resumes began.

    Raises:
        TrainError: the clips of a step cannot be divided so.
    """
    clips = config.run.clips_per_step
    if clips is None:
        return config, ""
    if clips % processes:
        raise TrainError(
            f"--clips-per-step {clips} cannot be divided among {processes} processes: give a "
            f"multiple, such as {-(-clips // processes) * processes}"
        )
    own = clips // processes
    if config.run.batch_size != "auto":
        if own % config.run.batch_size:
            raise TrainError(
                f"--batch-size {config.run.batch_size} does not divide the {own} clips of a step "
                f"in each process: give {' or '.join(map(str, _divisors(own)))}"
            )
        return _with(config, config.run.batch_size, own), ""
    began = (saved or {}).get("run", {})
    if own == began.get("batch_size", 0) * began.get("accumulation", 0):
        in_pass = began["batch_size"]
        return _with(config, in_pass, own), _line(in_pass, own, "as this run began")
    if free is None:
        return _with(config, 1, own), _line(1, own, "there is no GPU")
    for in_pass in _divisors(own):
        needed = estimate(_with(config, in_pass, own), processes).total
        if needed <= _FRACTION * free or in_pass == 1:
            break
    why = f"some {human_bytes(needed)} of the {human_bytes(free)} that are free"
    return _with(config, in_pass, own), _line(in_pass, own, why)


def _with(config: TrainConfig, in_pass: int, own: int) -> TrainConfig:
    run = dataclasses.replace(
        config.run, batch_size=in_pass, accumulation=own // in_pass, clips_per_step=None
    )
    return dataclasses.replace(config, run=run)


def _line(in_pass: int, own: int, why: str) -> str:
    return f"--batch-size auto: {in_pass} of a step's {own} clips in a pass ({why})"


def _divisors(own: int) -> list[int]:
    """Largest first."""
    return [n for n in range(own, 0, -1) if own % n == 0]
