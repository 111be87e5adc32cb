"""Training, the whole algorithm: Eq. 2, 7 and 8, step by step.

Everything random in step n is a function of (seed, n): clips come from the stream's order, noise
from `noise`. So nothing but weights, optimizer and the number of the step is needed to go on.
"""

from __future__ import annotations

import torch
from accelerate.utils import gather_object

from idol.diffusion.noise import Randomness
from idol.diffusion.schedule import noise_schedule
from idol.losses import Losses
from idol.train.checkpoint import Checkpoints
from idol.train.data import open_training, positions_of
from idol.train.errors import DivergedError
from idol.train.guard import is_finite
from idol.train.interrupt import Interrupt, InterruptedRun
from idol.train.optimizer import learning_rate
from idol.train.reporter import Reporter
from idol.train.run import Run
from idol.train.spread import averaged_over_processes
from idol.train.step import step_losses
from shards.errors import ShardsError

__all__ = ["train_steps"]


def train_steps(run: Run, checkpoints: Checkpoints) -> None:
    """Take all steps that are left, then leave a checkpoint.

    Raises:
        InterruptedRun: the process was asked to stop; it left a checkpoint.
        DivergedError: too many steps in a row were not finite; it left a checkpoint.
        ShardsError: clips cannot be read; one process alone left a checkpoint.
    """
    config, accelerator, progress = run.config, run.accelerator, run.progress
    device, rank = accelerator.device, accelerator.process_index
    processes, passes = accelerator.num_processes, config.run.accumulation
    random, schedule = Randomness(config.run.seed), noise_schedule()
    with run.kept(checkpoints, ShardsError), Interrupt() as interrupt, Reporter(run) as reporter:
        batches = open_training(
            config,
            rank=rank,
            processes=processes,
            consumed=progress.step * config.global_batch(processes),
            pin_memory=device.type == "cuda",
        )
        reporter.make_up()
        while progress.step < config.optimizer.steps:
            step = progress.step
            terms: list[torch.Tensor] = []
            norms: dict[str, float] = {}
            keys: list[str] = []
            for number in range(passes):
                last_pass = number == passes - 1
                clips = next(batches)
                positions = positions_of(clips, rank=rank, processes=processes)
                with averaged_over_processes(run.modules, now=last_pass):
                    batch = run.prepare(
                        clips,
                        device,
                        random=random,
                        positions=positions,
                        dropout=config.optimizer.foreground_dropout,
                    )
                    losses, norms = step_losses(
                        run.denoise,
                        batch,
                        positions,
                        random,
                        schedule,
                        config.loss,
                        gradient_norms=last_pass and run.measures_gradients(step),
                    )
                    accelerator.backward(losses.total / passes)
                terms.append(_terms(losses))
                keys += clips.key
            norm = run.clip_gradients()

            # One exchange tells all processes the same: losses, gradient, and whether to stop.
            asked = norm.new_tensor([float(interrupt.requested)])
            told = torch.cat([torch.stack(terms).mean(dim=0), norm.reshape(1), asked])
            *numbers, stop = accelerator.reduce(told, "mean").tolist()

            taken = is_finite(numbers)
            run.take_step(learning_rate(step, config.optimizer), finite=taken)
            progress.count(taken=taken)
            reporter.step(step, _named(numbers[:-1]) | norms, numbers[-1])

            last = progress.step == config.optimizer.steps
            failing = progress.skipped_in_row > config.run.max_skipped
            due = stop or last or progress.step % config.report.checkpoint_every == 0
            if failing:  # tried again and again, it must not push better checkpoints out
                due = progress.needs_saving
            if due:
                reporter.flush_to_disk()
                run.save(checkpoints)
            if failing:
                raise DivergedError(progress.skipped_in_row, progress.step, gather_object(keys))
            if stop and not last:
                raise InterruptedRun(progress.step)
            reporter.look()


def _terms(losses: Losses) -> torch.Tensor:
    """The objective and its terms, one after the other, without their graph."""
    scalars = (losses.total, *losses.denoise_M, losses.motion, losses.cross_attention)
    return torch.stack([scalar.detach() for scalar in scalars])


def _named(numbers: list[float]) -> dict[str, float]:
    """What `_terms` put in order, by name; pre-training has video alone."""
    if len(numbers) == 4:
        return {"total": numbers[0], "denoise_video": numbers[1]}
    names = ("total", "denoise_video", "denoise_depth", "motion", "cross_attention")
    return dict(zip(names, numbers, strict=True))
