"""Which settings a run may have: the range of each number, and what goes together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idol.config.train import TrainConfig

__all__ = ["mistakes_in"]

# Fields by the part of the configuration that they are in.
_Names = Mapping[str, tuple[str, ...]]

# Whole numbers from 1 or 0 on.
_WHOLE: dict[int, _Names] = {
    1: {
        "data": ("size", "frames", "max_frame_step", "window", "cache_limit"),
        "optimizer": ("steps",),
        "run": ("batch_size", "accumulation"),
        "report": ("checkpoint_every", "keep", "sample_steps", "validation_clips"),
    },
    0: {
        "data": ("workers",),
        "run": ("seed", "max_skipped"),
        "report": ("validate_every", "sample_every", "gradient_norms_every"),
    },
}
# What NumPy can count; torch's seeds have 64 bits; the noise schedule has 1000 timesteps.
_HIGHEST = 2**31 - 1
_HIGHEST_OF = {"--cache-limit": 2**63 - 1, "--seed": 2**64 - 1, "--sample-steps": 1000}

_POSITIVE: _Names = {"optimizer": ("learning_rate", "clip")}
_NOT_NEGATIVE: _Names = {"optimizer": ("weight_decay",), "report": ("guidance",)}
_SHARES: _Names = {"data": ("mirror",), "optimizer": ("warm_up", "foreground_dropout", "ema")}


def mistakes_in(config: TrainConfig) -> Iterator[str]:
    """One line for everything that is wrong, naming the option; nothing if all is well."""
    if not config.shards:
        yield "--shards names no dataset"
    yield from _numbers(config)
    yield from _contradictions(config)


def _numbers(config: TrainConfig) -> Iterator[str]:
    for low, names in _WHOLE.items():
        for option, value in _values(config, names):
            high = _HIGHEST_OF.get(option, _HIGHEST)
            if value is not None and not low <= value <= high:
                yield f"{option} must be from {low} to {high}, not {value}"
    for option, value in _values(config, _POSITIVE):
        if not (value > 0 and math.isfinite(value)):
            yield f"{option} must be a positive number, not {value}"
    for option, value in _values(config, _NOT_NEGATIVE):
        if not (value >= 0 and math.isfinite(value)):
            yield f"{option} must be a number from 0 on, not {value}"
    for option, value in _values(config, _SHARES):
        if not 0 <= value <= 1:
            yield f"{option} must be a share from 0 to 1, not {value}"
    optimizer = config.optimizer
    if not all(0 <= beta < 1 for beta in optimizer.betas) or optimizer.ema == 1:
        yield "--betas must be from 0 on and, as --ema, below 1"
    low_area, high_area = config.data.crop_area
    if not 0 < low_area <= high_area <= 1:
        yield (
            f"--crop-area must be two rising shares above 0 and up to 1, not {low_area} {high_area}"
        )


def _contradictions(config: TrainConfig) -> Iterator[str]:
    data, run = config.data, config.run
    if data.latents and config.preset == "tiny":
        yield "--latents are of a VAE, and preset tiny has none: leave it out"
    if data.latents and (data.crop_area[0] < 1 or data.mirror > 0):
        yield "--latents are of whole pictures: leave them out, or --crop-area and --mirror"
    if data.size % (divisor := _divisor(config)):
        yield f"--size must be a multiple of {divisor}, not {data.size}"
    if config.stage == "video" and data.frames < 2:
        yield "--frames must be at least 2 in stage video"
    if not config.model.temporal_layers:
        yield "--model.temporal-layers follows from the stage: leave it on"
    if run.fsdp and run.mixed_precision == "fp16":
        yield "--fsdp and --mixed-precision fp16 do not go together: use bf16"
    if run.fsdp and config.optimizer.adam_8bit:
        yield "--fsdp divides the optimizer's states already: leave out --adam-8bit"


def _divisor(config: TrainConfig) -> int:
    # Pixels of a latent, halved between the levels of the U-Net.
    latent: int = 4 if config.preset == "tiny" else 8
    return latent * 2 ** (len(config.model.block_out_channels) - 1)


def _values(config: TrainConfig, names: _Names) -> Iterator[tuple[str, Any]]:
    for part, fields in names.items():
        for name in fields:
            yield "--" + name.replace("_", "-"), getattr(getattr(config, part), name)
