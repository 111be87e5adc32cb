"""When a run reports what: each step's losses and speed, validation and samples at intervals."""

import resource
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, nullcontext
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch
from accelerate.utils import broadcast_object_list
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import nn

from idol.config.train import TrainConfig
from idol.data.datasets import Datasets
from idol.data.preparation import LatentBatch
from idol.diffusion.schedule import ddim_scheduler, noise_schedule
from idol.train.log import Log, StepReport
from idol.train.optimizer import learning_rate
from idol.train.run import Run, Stepping
from idol.train.samples import sample_sheets
from idol.train.validation import Reduce, validate

__all__ = ["DenoisingMonitor", "Monitor", "Throughput"]

# Samples of the same clips from the same noise each time, so that they can be compared.
_SAMPLE_SEED = 0


_R = TypeVar("_R", bound=Stepping)


class Monitor(Generic[_R]):
    """Writes in the main process; validates and samples in all, as FSDP needs it."""

    def __init__(self, run: _R, data: Datasets) -> None:
        self._run = run
        self._data = data
        self._config: TrainConfig = run.config
        self._throughput = Throughput()
        self._files = ExitStack()
        self._log: Log | None = None
        self._validates = not data.without_val

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
        self._throughput.pause()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._files.__exit__(kind, error, traceback)

    def log_step(self, step: int, losses: Mapping[str, float], gradient_norm: float) -> None:
        """Log `step`, counted from 0, which was just counted in the run's progress."""
        run, config, seconds = self._run, self._config, self._throughput.tick()
        if self._log is None:
            return
        clips = config.global_batch(run.accelerator.num_processes)
        left = (config.optimizer.steps - step - 1) * seconds if self._throughput.is_known else 0.0
        self._log.step(
            StepReport(
                step=step + 1,
                steps=config.optimizer.steps,
                losses=dict(losses),
                learning_rate=learning_rate(step, config.optimizer),
                gradient_norm=gradient_norm,
                images_per_second=clips * config.frames / seconds,
                memory_bytes=_peak_memory(run.accelerator.device),
                seconds_left=left,
                skipped_steps=run.progress.skipped,
            )
        )

    def evaluate_if_due(self) -> None:
        """Validate and sample where that is due after the run's last step."""
        self._evaluate(validated=False, sampled=False)

    def catch_up(self) -> None:
        """`evaluate_if_due`, when a run resumes, for what it was stopped before or amidst."""
        step, logged = self._run.progress.step, [False, False]
        if self._log is not None:
            logged = [self._log.has_validation(step), self._log.has_images(step)]
        validated, sampled = broadcast_object_list(logged)
        if step:
            self._evaluate(validated=validated, sampled=sampled)

    def _evaluate(self, *, validated: bool, sampled: bool) -> None:
        report, run = self._config.report, self._run
        done, steps = run.progress.step, self._config.optimizer.steps
        every = report.checkpoint_every if report.validate_every is None else report.validate_every
        with run.average.in_place() if run.average else nullcontext():
            if self._validates and not validated and _is_due(every, done, steps):
                self._validate(done)
            if not sampled and _is_due(report.sample_every, done, steps):
                self._sample(done)
        self._throughput.pause()

    def flush_to_disk(self) -> None:
        """Make sure that the losses so far outlive the machine."""
        if self._log is not None:
            self._log.flush()

    def _validate(self, step: int) -> None:
        raise NotImplementedError

    def _sample(self, step: int) -> None:
        raise NotImplementedError


class DenoisingMonitor(Monitor[Run]):
    """The denoiser's: held-out losses, and what it draws."""

    def _validate(self, step: int) -> None:
        run, accelerator = self._run, self._run.accelerator
        device, processes = accelerator.device, accelerator.num_processes
        clips = self._data.first_clips("val", self._config.report.validation_clips)
        # Divided weights are whole only while all processes take the same steps.
        shared = processes > 1 and not self._config.run.fsdp
        if shared:
            clips = islice(clips, accelerator.process_index, None, processes)
        reduce = partial(accelerator.reduce, reduction="sum") if shared else None
        with torch.no_grad(), run.evaluating() as (denoiser, prepare):
            values = self._held_out(denoiser, (prepare(c, device) for c in clips), reduce)
        if self._log is not None:
            self._log.validation(step, values)

    def _held_out(
        self, denoiser: nn.Module, batches: Iterable[LatentBatch], reduce: Reduce | None
    ) -> dict[str, float]:
        """What is logged of held-out clips, those of this process."""
        device = self._run.accelerator.device
        return validate(denoiser, batches, noise_schedule(), device=device, reduce=reduce)

    def _sample(self, step: int) -> None:
        run, report = self._run, self._config.report
        split = "val" if self._validates else "train"
        [clips] = self._data.first_clips(split, 1, images=True)
        scheduler, guidance = self._sampling()
        with torch.no_grad(), run.evaluating() as (denoiser, prepare):
            sheets = sample_sheets(
                denoiser,
                prepare(clips, run.accelerator.device),
                clips,
                run.trained.codec,
                depth=self._config.data.depth,
                scheduler=scheduler,
                steps=report.sample_steps,
                guidance=guidance,
                seed=_SAMPLE_SEED,
            )
        if self._log is not None:
            self._log.images(step, sheets)

    def _sampling(self) -> tuple[SchedulerMixin, float]:
        """Scheduler and guidance of samples."""
        report, bound = self._config.report, self._run.trained.codec.bound
        return ddim_scheduler(bound, spacing=report.spacing), report.guidance


def _is_due(every: int, done: int, steps: int) -> bool:
    """Whether something that happens `every` so many steps, and at the end, is due."""
    return every > 0 and (done % every == 0 or done == steps)


class Throughput:
    """Seconds of a step, smoothed over about the last twenty.

    The first one, which warms up, is forgotten as soon as there is another.
    """

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._steps = 0
        self.seconds = 0.0

    def tick(self) -> float:
        """Note that a step is done; seconds that one takes."""
        now = time.perf_counter()
        took, self._last = now - self._last, now
        weight = 1 / min(max(self._steps, 1), 20)
        self.seconds += weight * (took - self.seconds)
        self._steps += 1
        return self.seconds

    @property
    def is_known(self) -> bool:
        """Whether a step was seen beside the first one, which starts workers and makes kernels."""
        return self._steps > 1

    def pause(self) -> None:
        """Leave the time since the last step out: it went into something else."""
        self._last = time.perf_counter()


def _peak_memory(device: torch.device) -> int:
    """Bytes at most, so far: of the GPU's memory that torch took, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
