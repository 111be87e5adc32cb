"""`train`: check everything, build or load, take the steps, write the model."""

import dataclasses
import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from idol.checkpoint import Checkpoints, step_of
from idol.config.train import TrainConfig
from idol.data.datasets import Datasets, open_datasets
from idol.data.depth_meaning import check_depth_scores, depth_meaning, other_depth
from idol.data.pose_style import check_poses
from idol.model_info import read_info
from idol.precision import bf16_is_slow
from idol.train.autoencoder import (
    AutoencoderMonitor,
    AutoencoderRun,
    check_autoencoder_sources,
)
from idol.train.batch import divided
from idol.train.cached_latents import FOLDER, caches_latents, check_latents, with_own_latents
from idol.train.card import model_card
from idol.train.distill import DistillMonitor, distillation_losses
from idol.train.distributed import free_memory, make_accelerator
from idol.train.initialize import check_sources, resumed, with_sources
from idol.train.log import import_wandb
from idol.train.loop import denoising_losses, train_steps
from idol.train.memory import out_of_memory
from idol.train.monitor import DenoisingMonitor
from idol.train.notices import notices
from idol.train.optimizer import eight_bit_adam
from idol.train.resume import check_same_run, described, read_config, shards_digest, write_config
from idol.train.run import Run
from idol.train.stopping import TrainError
from idol.variants import variant_called
from shards.environment import settle
from shards.files.locks import Taken, alone_in

__all__ = ["sole_run", "train"]

_log = logging.getLogger(__name__)


def train(config: TrainConfig) -> Path:
    """Run a stage to its end, from its newest checkpoint if it has one.

    Returns:
        The folder of the final model.

    Raises:
        TrainError, NotAModelError, ShardsError: something is missing or contradictory; before
            any weights are loaded where it can be known. Or memory did not suffice.
        RefusedVariable: of the environment, see `shards.environment`.
        InterruptedRun, DivergedError: it stopped early, and left a checkpoint.
    """
    for line in settle():  # nothing is left to be said of where a command has done it
        _log.warning(line)
    data = open_datasets(config)
    if config.optimizer.adam_8bit:
        eight_bit_adam()
    if config.report.wandb:
        import_wandb()
    accelerator = make_accelerator(config)
    with sole_run(config.output) if accelerator.is_main_process else nullcontext():
        return _train(config, data, accelerator)


@contextmanager
def sole_run(output: Path) -> Iterator[None]:
    """Hold an output in here: two runs would delete each other's files.

    Raises:
        TrainError: another process holds it, or it is a file.
    """
    with ExitStack() as held:
        try:
            held.enter_context(alone_in(output))
        except (FileExistsError, NotADirectoryError) as error:
            raise TrainError(
                f"{output} is a file, or lies in one: --output takes a folder"
            ) from error
        except Taken as error:
            raise TrainError(
                f"{output} is in use by another idol-train: wait for it, stop it, or give another "
                "--output"
            ) from error
        yield


def _train(config: TrainConfig, data: Datasets, accelerator: Accelerator) -> Path:
    checkpoints = Checkpoints(config.output / "checkpoints", keep=config.report.keep)
    checkpoint = _newest(checkpoints, accelerator)
    saved, given = read_config(config.output), config
    config, said = divided(
        config,
        accelerator.num_processes,
        free_memory(accelerator),
        saved if checkpoint is not None else None,
    )
    if said and accelerator.is_main_process:
        _log.info(said)
    data = dataclasses.replace(data, config=config)
    config, settings = _complete(config, saved, data, accelerator, checkpoint)
    if config.stage == "autoencoder":
        if checkpoint is None:
            check_autoencoder_sources(config)
    else:
        check_sources(config, resuming=checkpoint is not None)
    if accelerator.is_main_process:
        for line in notices(given, data, checkpoint=checkpoint, saved=saved):
            _log.warning(line)
        if config.run.mixed_precision == "bf16" and bf16_is_slow(accelerator.device):
            _log.warning(
                "--mixed-precision bf16: this CPU has no arithmetic for it, and float32 is several "
                "times as fast here: leave it out"
            )
    depth = depth_meaning(data)
    goes_on = config.init_from if checkpoint is None and config.stage != "autoencoder" else None
    other = other_depth(read_info(goes_on), depth) if goes_on else None
    if other and accelerator.is_main_process:
        _log.warning(other)
    check_depth_scores(data)
    check_poses(data, variant_called(config.variant).poses)
    data = data.with_latents(config.vae)
    caches = caches_latents(config, data, accelerator.num_processes)
    settings["cached_latents"] = caches
    asked, done = config.data, 0 if checkpoint is None else step_of(checkpoint)
    finished = done == config.optimizer.steps and (config.output / "model").exists()
    if caches and not finished:
        if checkpoint is not None:
            check_latents(config, checkpoint)
        config, data = with_own_latents(config, data, accelerator)
    try:
        if config.stage == "autoencoder":
            codec = AutoencoderRun.start(config, accelerator, checkpoint, data)
            _record(config.output, settings, accelerator)
            watch = AutoencoderMonitor(codec, data)
            train_steps(codec, data, checkpoints, watch, codec.pass_losses)
            if not finished:
                codec.save_final(config.output / "model")
        else:
            run = Run.start(config, accelerator, checkpoint, depth)
            _record(config.output, settings, accelerator)
            distills = config.stage == "distill"
            monitor = (DistillMonitor if distills else DenoisingMonitor)(run, data)
            losses = (distillation_losses if distills else denoising_losses)(run)
            train_steps(run, data, checkpoints, monitor, losses)
            origin: dict[str, Any] = {
                n: Path(settings[n]) for n in ("init_from", "base") if settings[n]
            }
            # As it was asked for; and where it began, which a resumed run does not load again.
            told = dataclasses.replace(config, data=asked, **origin)
            processes = accelerator.num_processes
            if not finished:
                run.save_final(
                    config.output / "model", lambda info: model_card(told, data, info, processes)
                )
            if caches and accelerator.is_main_process:
                shutil.rmtree(config.output / FOLDER, ignore_errors=True)
    except torch.OutOfMemoryError as error:
        raise out_of_memory(config, accelerator.num_processes, error) from error
    finally:
        accelerator.end_training()
    return config.output / "model"


def _record(output: Path, settings: dict[str, Any], accelerator: Accelerator) -> None:
    """Save the configuration of a run that has started, once all processes have read the last."""
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_config(output, settings)


def _newest(checkpoints: Checkpoints, accelerator: Accelerator) -> Path | None:
    """What the main process found, in every process."""
    found = [str(checkpoints.newest() or "")] if accelerator.is_main_process else [""]
    [newest] = broadcast_object_list(found)
    if not newest and checkpoints.listed():
        raise TrainError(
            f"no checkpoint in {checkpoints.folder} is valid: remove them, or give another --output"
        )
    return Path(newest) if newest else None


def _complete(
    config: TrainConfig,
    saved: dict[str, Any] | None,
    data: Datasets,
    accelerator: Accelerator,
    checkpoint: Path | None,
) -> tuple[TrainConfig, dict[str, Any]]:
    """The configuration with what its run starts from, and as it is saved in the output."""
    settings = described(
        config,
        processes=accelerator.num_processes,
        shards_digest=shards_digest(data.mixture),
    )
    if checkpoint is not None:
        if saved is None:
            raise TrainError(f"{config.output} has lost its config.json: give another --output")
        check_same_run(saved, settings, config.output)
        if accelerator.is_main_process:
            _log.info("resuming from %s", checkpoint)
        # The origin of the weights is reported, whatever is given now; a teacher may have moved.
        moved = settings["init_from"] if config.stage == "distill" else None
        settings |= {"init_from": moved or saved.get("init_from"), "base": saved.get("base")}
        # Of an autoencoder the base says what it is, not only what it started from.
        config = resumed(config, saved) if config.stage != "autoencoder" else config
    elif (config.output / "model").exists():
        raise TrainError(f"{config.output} holds a trained model already: give another --output")
    elif config.stage != "autoencoder":
        given, config = config.init_from, with_sources(config)
        finished = config.init_from in (given, given and given / "model")
        if accelerator.is_main_process and not finished:
            _log.warning("%s is not finished: starting from %s", given, config.init_from)
    sources = {n: str(v) for n in ("vae", "image_encoder") if (v := getattr(config, n))}
    return config, settings | sources
