"""The denoising loss on held-out clips, at fixed timesteps and with fixed noise.

Timestep and noise are drawn for each clip from its key, so that the numbers of two runs, or of two
moments of one, compare: how clips are batched, ordered and divided among processes is no part of
them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from idol.config.model import MODALITY_NAMES
from idol.data.preparation import LatentBatch
from idol.diffusion.noise import named_noise
from idol.diffusion.sampling import predict
from idol.losses.totals import has_float64
from idol.train.stopping import TrainError

__all__ = ["TIMESTEPS", "Reduce", "evaluating", "over_processes", "validate"]

TIMESTEPS = tuple(range(50, 1000, 100))

_BAND = 250

Reduce = Callable[[Tensor], Tensor]
"""Sums a tensor over all processes, each of which must then call; of float64 where there is."""


# Eq. 2 without its expectation: the same noise and timesteps every time.
def validate(
    denoiser: nn.Module,
    batches: Iterable[LatentBatch],
    schedule: DDPMScheduler,
    *,
    timesteps: Sequence[int] = TIMESTEPS,
    device: torch.device | str = "cpu",
    reduce: Reduce | None = None,
) -> dict[str, float]:
    """Measure the denoising loss of each modality, every clip at every timestep.

    The denoiser's modes and torch's random state are afterwards as they were.

    Args:
        batches: of clips, those of this process; their modalities are alike.
        schedule: `idol.diffusion.schedule.noise_schedule()`.
        timesteps: 0 to 999, each a forward for each batch.
        device: where the denoiser is.
        reduce: where clips are divided among processes.

    Returns:
        Mean squared errors: `denoise_video` and `denoise_depth`, their sum `denoise` (Eq. 2), and
        of each modality those of a band of timesteps, `denoise_video/000-249` and so on. A
        modality that the clips do not have is absent.

    Raises:
        TrainError: there are no clips.
    """
    device = torch.device(device)
    # The last column counts clips.
    sums_MT = torch.zeros(len(MODALITY_NAMES), len(timesteps) + 1, dtype=torch.float64)
    devices = [] if device.type == "cpu" else [device]
    with (
        evaluating(denoiser),
        torch.no_grad(),
        torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"),
    ):
        for batch in batches:
            labels = list(batch.modalities)
            for column, timestep in enumerate(timesteps):
                sums_MT[labels, column] += _losses(denoiser, batch, schedule, timestep, device)
            sums_MT[labels, -1] += len(batch.key)
    return _summary(over_processes(sums_MT, device, reduce), timesteps)


def over_processes(sums_MT: Tensor, device: torch.device, reduce: Reduce | None) -> Tensor:
    """Sums of all processes, where this one may have no clips; float64 on the CPU as given.

    Args:
        sums_MT: of each modality; the last column counts clips.

    Raises:
        TrainError: there are no clips.
    """
    if reduce is not None:
        dtype = torch.float64 if has_float64(device.type) else torch.float32
        sums_MT = reduce(sums_MT.to(device, dtype)).double().cpu()
    if not sums_MT[:, -1].any():
        raise TrainError("there is no clip to validate on: the val split is empty")
    return sums_MT


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """In evaluation mode, and afterwards every submodule in its own mode again."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _losses(
    denoiser: nn.Module,
    batch: LatentBatch,
    schedule: DDPMScheduler,
    timestep: int,
    device: torch.device,
) -> Tensor:
    """Each modality's mean squared errors at one timestep, summed over clips: (M,) float64."""
    latents = batch.latents_BMFCHW.to(device)
    shape = latents.shape[2:]
    # Of each modality by itself, so that video's is the same with depth and without.
    noise_BMFCHW = torch.stack(
        [
            named_noise(f"{key}/{timestep}/{label}", shape)
            for key in batch.key
            for label in batch.modalities
        ]
    )
    noise_BMFCHW = noise_BMFCHW.view(latents.shape).to(device)
    timesteps_B = torch.full((len(latents),), timestep, device=device)
    output = predict(
        denoiser,
        schedule.add_noise(latents, noise_BMFCHW.to(latents.dtype), timesteps_B),
        timesteps_B,
        batch.conditions.to(device),
        modalities=batch.modalities,
    )
    difference = output.noise_pred_BMFCHW.float() - noise_BMFCHW
    errors_BM = difference.square().flatten(2).mean(dim=2).cpu()  # not all devices have float64
    return errors_BM.sum(dim=0, dtype=torch.float64)


def _summary(sums_MT: Tensor, timesteps: Sequence[int]) -> dict[str, float]:
    results: dict[str, float] = {}
    bands: dict[str, list[int]] = {}
    for column, timestep in enumerate(timesteps):
        first = timestep // _BAND * _BAND
        bands.setdefault(f"{first:03d}-{first + _BAND - 1:03d}", []).append(column)
    for label, name in enumerate(MODALITY_NAMES):
        clips = float(sums_MT[label, -1])
        if not clips:
            continue
        means_T = sums_MT[label, :-1] / clips
        results[f"denoise_{name}"] = float(means_T.mean())
        for band, columns in bands.items():
            results[f"denoise_{name}/{band}"] = float(means_T[columns].mean())
    total = sum(value for name, value in results.items() if "/" not in name)
    return {"denoise": total} | results
