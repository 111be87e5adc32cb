"""Stage distill: a student that makes in a few steps what its teacher makes in many.

Latent consistency distillation (Luo et al., 2023) of both streams together: wherever on the
teacher's guided path the student is asked, it is to say the same clean latents. So its answer at
one timestep is drawn to that of its own average at the next, which one step of the teacher's
solver finds. Everything random is a function of the clips' positions, as in the other stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn

from idol.config.distill import DistillConfig
from idol.config.model import MODALITY_NAMES
from idol.data.preparation import LatentBatch
from idol.diffusion.consistency import clean_latents, consistent, solver_step, solver_timesteps
from idol.diffusion.noise import Randomness, named_noise
from idol.diffusion.sampling import guided_noise, predict
from idol.diffusion.schedule import noise_schedule
from idol.diffusion.schedulers import consistency_scheduler
from idol.model import DenoiserOutput
from idol.train.loop import PassLosses
from idol.train.monitor import DenoisingMonitor
from idol.train.run import Run
from idol.train.validation import Reduce, evaluating, over_processes
from shards.stream import ClipBatch

__all__ = ["DistillMonitor", "Distillation", "distillation_losses", "held_out_errors"]

_Denoise = Callable[..., DenoiserOutput]

# Of the teacher's path, from its beginning in noise to its end, where held-out clips are asked.
_ASKED = (1.0, 0.8, 0.6, 0.4, 0.2)


@dataclass(frozen=True)
class Distillation:
    """The objective.

    Attributes:
        teacher: whose path is followed; frozen.
        bound: what no value of a latent exceeds, for the teacher and for what the student is to
            say; None if there is no such bound.
    """

    teacher: _Denoise
    config: DistillConfig
    bound: float | None

    def errors(
        self,
        student: _Denoise,
        target: _Denoise,
        batch: LatentBatch,
        noise_BMFCHW: Tensor,
        index_B: Tensor,
    ) -> Tensor:
        """Each stream's distance of the student's answer from its target's, (M,) float32.

        Args:
            student: gets gradients, if they are taken at all.
            target: the student as it is to be a step further; called first, without gradients.
            noise_BMFCHW: standard normal, in the clean latents of the batch.
            index_B: which of the solver's steps.
        """
        config = self.config
        at_B, next_B = solver_timesteps(index_B, config.solver_steps)
        noisy = noise_schedule().add_noise(batch.latents_BMFCHW, noise_BMFCHW, at_B)
        with torch.no_grad():
            noise = guided_noise(
                self.teacher,
                noisy,
                at_B,
                batch.conditions,
                guidance=config.guidance,
                modalities=batch.modalities,
            )
            further = solver_step(noise, noisy, at_B, next_B, self.bound)
            wanted = self._answer(target, further, next_B, batch, self.bound)
        # Its own answer is free: within a bound there would be no gradient beyond it.
        difference = self._answer(student, noisy, at_B, batch, None) - wanted
        error = difference.square()
        if config.error == "huber":  # sqrt(d^2 + h^2) - h, without the loss of digits of small d
            error = error / ((error + config.huber**2).sqrt() + config.huber)
        return error.transpose(0, 1).flatten(1).mean(dim=1)

    def _answer(
        self,
        denoise: _Denoise,
        latents_BMFCHW: Tensor,
        timesteps_B: Tensor,
        batch: LatentBatch,
        bound: float | None,
    ) -> Tensor:
        output = predict(
            denoise, latents_BMFCHW, timesteps_B, batch.conditions, modalities=batch.modalities
        )
        clean = clean_latents(output.noise_pred_BMFCHW, latents_BMFCHW, timesteps_B, bound)
        return consistent(clean, latents_BMFCHW, timesteps_B, self.config.timestep_scaling)


def distillation_losses(run: Run) -> PassLosses:
    """What a pass of stage distill minimises: the distances of both streams, added.

    The student always has its foreground, for what it would be without is in it already. Its target
    is the average of its weights (`--ema`), or without one the student itself.
    """
    objective = _of(run)
    random = Randomness(run.config.run.seed)

    def target(*inputs: object, **options: object) -> DenoiserOutput:
        with run.average.in_place() if run.average else nullcontext(), run.accelerator.autocast():
            output: DenoiserOutput = run.trained.denoiser(*inputs, **options)
            return output

    def pass_losses(
        clips: ClipBatch, *, gradient_norms: bool
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
        device = run.accelerator.device
        batch = run.prepare(clips, device, random=random, guided=True)
        latents, positions = batch.latents_BMFCHW, batch.positions
        noise = random.normal("noise", positions, latents.shape[1:]).to(device)
        index = random.timesteps(positions, objective.config.solver_steps).to(device)
        errors_M = objective.errors(run.denoise, target, batch, noise, index)
        named = {"total": errors_M.sum(), **_named(errors_M, batch.modalities)}
        return errors_M.sum(), {name: value.detach() for name, value in named.items()}, {}

    return pass_losses


class DistillMonitor(DenoisingMonitor):
    """How far the student's answers differ along held-out paths; and what it draws."""

    def _held_out(
        self, denoiser: nn.Module, batches: Iterable[LatentBatch], reduce: Reduce | None
    ) -> dict[str, float]:
        device = self._run.accelerator.device
        return held_out_errors(denoiser, _of(self._run), batches, device=device, reduce=reduce)

    def _sampling(self) -> tuple[SchedulerMixin, float]:
        told, bound = self._config.distill.told, self._run.trained.codec.bound
        return consistency_scheduler(told, bound), 1.0  # the teacher's guidance is in it


def held_out_errors(
    denoiser: nn.Module,
    objective: Distillation,
    batches: Iterable[LatentBatch],
    *,
    device: torch.device | str = "cpu",
    reduce: Reduce | None = None,
) -> dict[str, float]:
    """How far the student's answers to held-out clips are apart, with the same noise every time.

    Args:
        denoiser: the student, which is its own target; its modes are afterwards as they were.
        batches, device, reduce: as for `idol.train.validation.validate`.

    Returns:
        The means over clips and places of the path, `distill_video` and `distill_depth`, and their
        sum `distill`. A modality that the clips do not have is absent.

    Raises:
        TrainError: there are no clips.
    """
    steps = objective.config.solver_steps
    asked = sorted({round(part * steps) - 1 for part in _ASKED} - {-1})
    # The last column counts clips.
    sums_MT = torch.zeros(len(MODALITY_NAMES), 2, dtype=torch.float64)
    with evaluating(denoiser), torch.no_grad():
        for batch in batches:
            labels, latents = list(batch.modalities), batch.latents_BMFCHW
            for index in asked:
                noise = torch.stack(
                    [named_noise(f"{key}/{index}", latents.shape[1:]) for key in batch.key]
                ).to(latents)
                index_B = torch.full((len(latents),), index, device=latents.device)
                errors_M = objective.errors(denoiser, denoiser, batch, noise, index_B)
                sums_MT[labels, 0] += errors_M.cpu().double() * len(latents) / len(asked)
            sums_MT[labels, 1] += len(latents)
    totals_M, clips_M = over_processes(sums_MT, torch.device(device), reduce).unbind(dim=1)
    found = [m for m, clips in enumerate(clips_M) if clips]
    errors_M = totals_M[found] / clips_M[found]
    return {"distill": float(errors_M.sum())} | {
        name: float(error) for name, error in _named(errors_M, found).items()
    }


def _named(errors_M: Tensor, modalities: Sequence[int]) -> dict[str, Tensor]:
    return {f"distill_{MODALITY_NAMES[m]}": e for m, e in zip(modalities, errors_M, strict=True)}


def _of(run: Run) -> Distillation:
    assert run.teacher is not None
    teacher = run.teacher

    def guided(*inputs: object, **options: object) -> DenoiserOutput:
        with run.accelerator.autocast():
            output: DenoiserOutput = teacher(*inputs, **options)
            return output

    return Distillation(guided, run.config.distill, run.trained.codec.bound)
