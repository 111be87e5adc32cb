"""When a run tells what: each step's numbers, validation and pictures at intervals."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Self

import torch
from accelerate.utils import broadcast_object_list

from idol.config.train import TrainConfig
from idol.data.parts import has_split
from idol.diffusion.schedule import noise_schedule
from idol.train.data import first_clips
from idol.train.figures import sample_pictures
from idol.train.optimizer import learning_rate
from idol.train.pace import Pace, peak_memory
from idol.train.report import Log, StepReport
from idol.train.run import Run
from idol.train.validation import validate

__all__ = ["Reporter"]

# Pictures of the same clips from the same noise each time, so that they can be compared.
_PICTURE_SEED = 0


class Reporter:
    """Writes in the main process; computes validation and pictures in all, as FSDP needs it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._config: TrainConfig = run.config
        self._pace = Pace()
        self._files = ExitStack()
        self._log: Log | None = None
        self._validates = all(has_split(path, "val") for path in self._config.shards)

    def __enter__(self) -> Self:
        report, folder = self._config.report, self._config.output
        if self._run.accelerator.is_main_process:
            self._log = self._files.enter_context(
                Log(
                    folder,
                    start_step=self._run.progress.step,
                    tensorboard=report.tensorboard,
                    wandb=report.wandb,
                    progress=report.progress,
                )
            )
        self._pace.pause()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._files.__exit__(kind, error, traceback)

    def step(self, step: int, losses: Mapping[str, float], gradient_norm: float) -> None:
        """Tell of `step`, counted from 0, which was just counted in the run's progress."""
        run, config, seconds = self._run, self._config, self._pace.tick()
        if self._log is None:
            return
        clips = config.global_batch(run.accelerator.num_processes)
        left = (config.optimizer.steps - step - 1) * seconds if self._pace.is_known else 0.0
        self._log.step(
            StepReport(
                step=step + 1,
                steps=config.optimizer.steps,
                losses=dict(losses),
                learning_rate=learning_rate(step, config.optimizer),
                gradient_norm=gradient_norm,
                images_per_second=clips * config.frames / seconds,
                memory_bytes=peak_memory(run.accelerator.device),
                seconds_left=left,
                skipped_steps=run.progress.skipped,
            )
        )

    def look(self) -> None:
        """Validate and draw samples where they are due after the run's last step."""
        self._look(validated=False, drawn=False)

    def make_up(self) -> None:
        """`look`, when a run goes on, at what it was stopped before or amidst."""
        done, told = self._run.progress.step, [False, False]
        if self._log is not None:
            told = [self._log.has_validation(done), self._log.has_pictures(done)]
        validated, drawn = broadcast_object_list(told)
        if done:
            self._look(validated=validated, drawn=drawn)

    def _look(self, *, validated: bool, drawn: bool) -> None:
        report, run = self._config.report, self._run
        done, steps = run.progress.step, self._config.optimizer.steps
        every = report.checkpoint_every if report.validate_every is None else report.validate_every
        with run.average.in_place() if run.average else nullcontext():
            if self._validates and not validated and is_due(every, done, steps):
                self._validate(done)
            if not drawn and is_due(report.sample_every, done, steps):
                self._draw(done)
        self._pace.pause()

    def flush_to_disk(self) -> None:
        """Make sure that the losses so far outlive the machine."""
        if self._log is not None:
            self._log.flush()

    def _validate(self, step: int) -> None:
        run, accelerator = self._run, self._run.accelerator
        device, processes = accelerator.device, accelerator.num_processes
        clips = first_clips(self._config, "val", self._config.report.validation_clips)
        # Divided weights are whole only while all processes take the same steps.
        shared = processes > 1 and not self._config.run.fsdp
        if shared:
            clips = islice(clips, accelerator.process_index, None, processes)
        with torch.no_grad(), run.evaluating() as (denoiser, prepare):
            values = validate(
                denoiser,
                (prepare(batch, device) for batch in clips),
                noise_schedule(),
                device=device,
                reduce=partial(accelerator.reduce, reduction="sum") if shared else None,
            )
        if self._log is not None:
            self._log.validation(step, values)

    def _draw(self, step: int) -> None:
        run, report = self._run, self._config.report
        split = "val" if self._validates else "train"
        [clips] = first_clips(self._config, split, 1, pictures=True)
        with torch.no_grad(), run.evaluating() as (denoiser, prepare):
            pictures = sample_pictures(
                denoiser,
                prepare(clips, run.accelerator.device),
                clips,
                run.trained.codec,
                steps=report.sample_steps,
                guidance=report.guidance,
                seed=_PICTURE_SEED,
            )
        if self._log is not None:
            self._log.pictures(step, pictures)


def is_due(every: int, done: int, steps: int) -> bool:
    """Whether something that happens `every` so many steps, and at the end, is due."""
    return every > 0 and (done % every == 0 or done == steps)
