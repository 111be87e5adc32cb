"""Training, the whole algorithm: Eq. 2, 7 and 8, step by step.

Everything random in step n is a function of (seed, n): clips come from the stream's order, noise
from `noise`. So nothing but weights, optimizer and the number of the step is needed to resume.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from diffusers import DDPMScheduler
from torch import Tensor, nn

from idol.checkpoint import Checkpoints
from idol.config.model import DEPTH
from idol.data.datasets import Datasets
from idol.data.preparation import LatentBatch
from idol.diffusion.noise import Randomness, sent
from idol.diffusion.sampling import predict
from idol.diffusion.schedule import noise_schedule, noise_that_hides
from idol.losses import LossConfig, Losses, feature_gradient_norms, training_losses
from idol.losses.objective import ComparedLayer
from idol.model import DenoiserOutput
from idol.recording import Recorder, cuda_graph
from idol.train.distributed import average_gradients, mean_over_passes, mean_over_processes
from idol.train.graph import GraphedLosses
from idol.train.monitor import Monitor
from idol.train.optimizer import learning_rate
from idol.train.run import Run, Stepping
from idol.train.stopping import DivergedError, Interrupt, InterruptedRun
from shards.errors import ShardsError
from shards.stream import ClipBatch

__all__ = ["PassLosses", "denoising_losses", "step_losses", "train_steps"]


# The loss of a pass, its terms and what else is logged, of clips; and whether gradients at the
# features are wanted with it.
PassLosses = Callable[..., tuple[Tensor, dict[str, Tensor], dict[str, float]]]


def train_steps(
    run: Stepping,
    data: Datasets,
    checkpoints: Checkpoints,
    monitor: Monitor[Any],
    pass_losses: PassLosses,
) -> None:
    """Take all steps that are left, then leave a checkpoint.

    Args:
        pass_losses: `pass_losses(clips, gradient_norms=...)`: the loss to be minimised, its terms
            by name, and norms to be logged with them.

    Raises:
        InterruptedRun: the process was asked to stop; it left a checkpoint.
        DivergedError: too many steps in a row were not finite; it left a checkpoint.
        ShardsError, BrokenPipeError: clips cannot be read, or whoever was shown progress has left;
            one process alone left a checkpoint.
    """
    config, accelerator, progress = run.config, run.accelerator, run.progress
    rank, processes = accelerator.process_index, accelerator.num_processes
    passes = config.run.accumulation
    with (
        run.saved_on((ShardsError, BrokenPipeError), checkpoints),
        Interrupt() as interrupt,
        monitor,
    ):
        batches = data.training_batches(
            rank=rank,
            processes=processes,
            consumed=progress.step * config.global_batch(processes),
            pin_memory=accelerator.device.type == "cuda",
        )
        monitor.catch_up()
        while progress.step < config.optimizer.steps:
            step = progress.step
            terms: list[dict[str, Tensor]] = []
            norms: dict[str, float] = {}
            keys: list[str] = []
            for number in range(passes):
                last_pass = number == passes - 1
                clips = next(batches)
                with average_gradients(run.modules, now=last_pass):
                    total, named, norms = pass_losses(
                        clips, gradient_norms=last_pass and run.measures_gradients(step)
                    )
                    accelerator.backward(total / passes)
                    del total  # and its graph, which must not be there when the next is recorded
                terms.append(named)
                keys += clips.key
            norm = run.clip_gradients()

            # One exchange gives all processes the same: losses, gradient, and whether to stop.
            asked = torch.full_like(norm, float(interrupt.requested))
            means = mean_over_processes(
                accelerator, {**mean_over_passes(terms), "gradient_norm": norm, "stop": asked}
            )
            stop, gradient_norm = means.pop("stop"), means.pop("gradient_norm")

            finite = all(map(math.isfinite, (*means.values(), gradient_norm)))
            run.take_step(learning_rate(step, config.optimizer), finite=finite)
            progress.count(taken=finite)
            monitor.log_step(step, means | norms, gradient_norm)

            last = progress.step == config.optimizer.steps
            failing = progress.skipped_in_row > config.run.max_skipped
            due = stop or last or progress.step % config.report.checkpoint_every == 0
            if failing:  # run again and again, it must not push better checkpoints out
                due = progress.needs_saving
            if due:
                monitor.flush_to_disk()
                run.save(checkpoints)
            if failing:
                raise DivergedError(progress.skipped_in_row, progress.step, gather_object(keys))
            if stop and not last:
                raise InterruptedRun(progress.step)
            monitor.evaluate_if_due()


def denoising_losses(run: Run, record: Recorder = cuda_graph) -> PassLosses:
    """What a pass of the stages that denoise minimises: `step_losses` of its clips.

    Args:
        record: how passes are recorded, where they are.
    """
    config = run.config
    random, schedule = Randomness(config.run.seed), noise_schedule()
    pure_noise = config.optimizer.pure_noise

    def losing(batch: LatentBatch, timesteps_B: Tensor, noise_BMFCHW: Tensor) -> Losses:
        return _losses(run.denoise, batch, timesteps_B, noise_BMFCHW, schedule, config.loss)[0]

    graphed = GraphedLosses(losing, _trained(run.denoiser), record) if run.graphs else None

    def pass_losses(
        clips: ClipBatch, *, gradient_norms: bool
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        batch = run.prepare(
            clips,
            run.accelerator.device,
            random=random,
            dropout=config.optimizer.foreground_dropout,
            posed_dropout=config.optimizer.posed_dropout,
            together=config.optimizer.dropout_draw == "batch",
        )
        if graphed is not None and not gradient_norms:
            return *graphed(batch, *_drawn(batch, random, schedule, pure_noise)), {}
        losses, norms = step_losses(
            run.denoise,
            batch,
            random,
            schedule,
            config.loss,
            pure_noise=pure_noise,
            gradient_norms=gradient_norms,
        )
        return losses.total, losses.named(), norms

    return pass_losses


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.requires_grad]


# Eq. 2 and 7 (Eq. 8 in pre-training), for one timestep a clip.
def step_losses(
    denoiser: Callable[..., DenoiserOutput],
    batch: LatentBatch,
    random: Randomness,
    schedule: DDPMScheduler,
    config: LossConfig,
    *,
    pure_noise: float = 0.0,
    gradient_norms: bool = False,
) -> tuple[Losses, dict[str, float]]:
    """Noise the latents, denoise them, and compare.

    Args:
        batch: whose positions in the stream's order give noise and timesteps, with `random`.
        pure_noise: fraction of clips that are denoised from noise alone.
        gradient_norms: also measure the consistency losses' gradients at the features.

    Returns:
        The losses, and if asked for the norms: `gradient_motion`, `gradient_cross_attention`.
    """
    timesteps, noise = _drawn(batch, random, schedule, pure_noise)
    losses, features = _losses(denoiser, batch, timesteps, noise, schedule, config)
    norms = feature_gradient_norms(losses, features) if gradient_norms else {}
    return losses, {f"gradient_{name}": norm for name, norm in norms.items()}


def _drawn(
    batch: LatentBatch, random: Randomness, schedule: DDPMScheduler, pure_noise: float
) -> tuple[Tensor, Tensor]:
    """Timesteps and noise of a batch, on its device."""
    latents, positions = batch.latents_BMFCHW, batch.positions
    trained = schedule.config.num_train_timesteps
    timesteps = random.timesteps(positions, trained)
    noise = sent(random.normal("noise", positions, latents.shape[1:]), latents.device)
    if pure_noise:
        pure = random.dropped(positions, pure_noise, purpose="pure-noise")
        timesteps = torch.where(pure, trained - 1, timesteps)
        pure_B = sent(pure, latents.device)[:, None, None, None, None, None]
        noise = torch.where(pure_B, noise_that_hides(latents, noise, trained - 1), noise)
    return sent(timesteps, latents.device), noise


def _losses(
    denoiser: Callable[..., DenoiserOutput],
    batch: LatentBatch,
    timesteps: Tensor,
    noise: Tensor,
    schedule: DDPMScheduler,
    config: LossConfig,
) -> tuple[Losses, Sequence[ComparedLayer]]:
    """The losses of a batch for these timesteps and this noise, and the features compared."""
    output = predict(
        denoiser,
        schedule.add_noise(batch.latents_BMFCHW, noise, timesteps),
        timesteps,
        batch.conditions,
        modalities=batch.modalities,
        return_features=_wants_features(batch, config),
    )
    losses = training_losses(
        output.noise_pred_BMFCHW,
        noise,
        output.features,
        config,
        timesteps,
        batch.depth_scores_BF,
    )
    return losses, output.features


def _wants_features(batch: LatentBatch, config: LossConfig) -> bool:
    """Whether the consistency losses need features: with depth, and unless they are left out."""
    return DEPTH in batch.modalities and config.compares
