"""`train`: check everything, build or load, take the steps, write the model."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list

from idol.train.checkpoint import Checkpoints
from idol.train.config import TrainConfig
from idol.train.loop import train_steps
from idol.train.memory import advice
from idol.train.optimizer import eight_bit_adam
from idol.train.requirements import check_shards, shards_digest
from idol.train.resume import check_same_run, described, read_config, write_config
from idol.train.run import Run, make_accelerator
from idol.train.start import check_sources, with_sources

__all__ = ["train"]

_log = logging.getLogger(__name__)


def train(config: TrainConfig) -> Path:
    """Run a stage to its end, from its newest checkpoint if it has one.

    Returns:
        The folder of the final model.

    Raises:
        TrainError, NotAModelError, ShardsError: something is missing or contradictory; before
            any weights are loaded where it can be known.
        InterruptedRun, DivergedError: it stopped early, and left a checkpoint.
    """
    check_shards(config)
    accelerator = make_accelerator(config)
    output = config.output
    checkpoints = Checkpoints(output / "checkpoints", keep=config.report.keep)
    found = [str(checkpoints.newest() or "")] if accelerator.is_main_process else [""]
    [newest] = broadcast_object_list(found)
    checkpoint = Path(newest) if newest else None
    config = with_sources(config)
    check_sources(config)
    if config.optimizer.adam_8bit:
        eight_bit_adam()
    values = described(
        config,
        processes=accelerator.num_processes,
        shards_digest=shards_digest(config.shards),
    )
    saved = read_config(output)
    if saved is not None and checkpoint is not None:
        check_same_run(saved, values, output)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_config(output, values)
    try:
        run = Run.start(config, accelerator, checkpoint)
        if checkpoint is not None and accelerator.is_main_process:
            _log.info("going on from %s", checkpoint)
        train_steps(run, checkpoints)
        run.save_final(output / "model")
    except torch.OutOfMemoryError as error:
        raise advice(config, accelerator.num_processes, error) from error
    return output / "model"
