"""A pass as one CUDA graph: its thousands of launches are given to the GPU at once.

At the paper's size a pass of one clip took a GPU .12 s, and the host .46 s to ask for it
(`docs/training.md`). A graph is recorded from the first pass and played for all that follow: the
same kernels on the same addresses, with each pass's inputs copied there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from idol.config.train import TrainConfig
from idol.data.preparation import LatentBatch
from idol.losses import Losses
from idol.recording import Recorder, warn_not_recorded
from idol.train.memory import estimate

__all__ = ["GraphedLosses", "takes_graphs"]

# Of the GPU's free memory: a graph keeps its pass's activations while samples are drawn.
_FRACTION = 0.7

Losing = Callable[[LatentBatch, Tensor, Tensor], Losses]
"""`(batch, timesteps, noise)` to the losses of a pass."""


def takes_graphs(config: TrainConfig, processes: int, free: int | None) -> bool:
    """Whether passes are recorded: of one process on a GPU that a pass does not fill.

    Not where a pass does what no graph holds: exchanges between processes, random states that are
    kept for recomputation, a scale that fp16 changes, or a compiler at work.

    Args:
        free: bytes free on the GPU; None on a CPU.
    """
    run = config.run
    fits = config.stage in ("pretrain", "image", "video") and processes == 1 and free is not None
    plain = not (run.fsdp or run.compile or run.gradient_checkpointing)
    if not (run.cuda_graphs and fits and plain) or run.mixed_precision == "fp16":
        return False
    assert free is not None
    taken = estimate(config, processes)
    # The gradients that are played stay there beside those that the optimizer takes.
    return taken.total + taken.gradients <= _FRACTION * free


class GraphedLosses:
    """The losses of a pass, recorded with their gradients at the first one and played from then on.

    Args:
        losing: what is recorded; it may run several times for that, and must draw nothing itself.
        parameters: what gets gradients, besides the batch's encoded foreground if that wants any.
        record: how.
    """

    def __init__(self, losing: Losing, parameters: Sequence[Tensor], record: Recorder) -> None:
        self._losing = losing
        self._parameters = [*parameters]
        self._record = record
        self._recording: _Recording | None = None
        self._failed = False

    def __call__(
        self, batch: LatentBatch, timesteps_B: Tensor, noise_BMFCHW: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, ready for `backward`, and the terms by name.

        Batches of another shape than the first are not played but computed, and all are if
        recording fails, which is logged.
        """
        if self._recording is None and not self._failed:
            try:
                self._recording = _Recording(self, batch, timesteps_B, noise_BMFCHW)
            except RuntimeError as error:
                self._failed = True
                warn_not_recorded("passes are", error)
        recording = self._recording
        if recording is None or not recording.fits(batch, timesteps_B, noise_BMFCHW):
            losses = self._losing(batch, timesteps_B, noise_BMFCHW)
            return losses.total, losses.named()
        recording.fill(batch, timesteps_B, noise_BMFCHW)
        total = _Played.apply(recording, batch.conditions.encoded_foreground_BTD, *self._parameters)
        return total, recording.terms()


class _Recording:
    """A graph, the tensors that it reads, and those that it writes."""

    def __init__(self, of: GraphedLosses, batch: LatentBatch, timesteps: Tensor, noise: Tensor):
        given = _tensors(batch, timesteps, noise)
        self._read = {name: x.detach().clone() for name, x in given.items()}
        self._modalities = batch.modalities
        self.wants_foreground = batch.conditions.encoded_foreground_BTD.requires_grad
        foreground = self._read["encoded_foreground_BTD"].requires_grad_(self.wants_foreground)
        read = _with(batch, self._read)
        sources = [*([foreground] if self.wants_foreground else []), *of._parameters]
        names: list[str] = []

        def total_gradients_terms() -> list[Tensor]:
            losses = of._losing(read, self._read["timesteps"], self._read["noise"])
            named = losses.named()
            names[:] = named
            gradients = torch.autograd.grad(losses.total, sources, allow_unused=True)
            self._unused = [g is None for g in gradients]
            there = [g for g in gradients if g is not None]
            return [losses.total.detach(), torch.stack([*named.values()]), *there]

        recorded = of._record(total_gradients_terms)
        self.play = recorded.play
        self.total, self._terms, *self._gradients = recorded.outputs
        self._names = names

    def terms(self) -> dict[str, Tensor]:
        """What was played last, by its names."""
        return dict(zip(self._names, self._terms.clone().unbind(), strict=True))

    def fits(self, batch: LatentBatch, timesteps: Tensor, noise: Tensor) -> bool:
        """Whether these are of the kind that was recorded."""
        given = _tensors(batch, timesteps, noise)
        return (
            batch.modalities == self._modalities
            and batch.conditions.encoded_foreground_BTD.requires_grad == self.wants_foreground
            and {name: (x.shape, x.dtype) for name, x in given.items()}
            == {name: (x.shape, x.dtype) for name, x in self._read.items()}
        )

    @torch.no_grad()
    def fill(self, batch: LatentBatch, timesteps: Tensor, noise: Tensor) -> None:
        """Put a pass's inputs where the graph reads them."""
        for name, tensor in _tensors(batch, timesteps, noise).items():
            self._read[name].copy_(tensor)

    def gradients(self, scale: Tensor) -> list[Tensor | None]:
        """Those of what wants them, times a scalar, in tensors of their own."""
        scaled = iter(torch._foreach_mul(self._gradients, scale))
        return [None if unused else next(scaled) for unused in self._unused]


class _Played(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recording: _Recording, foreground: Tensor, *_: Tensor) -> Tensor:
        recording.play()
        ctx.recording = recording
        return recording.total.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.recording.gradients(scale)
        foreground = [] if ctx.recording.wants_foreground else [None]
        return None, *foreground, *gradients


def _tensors(batch: LatentBatch, timesteps: Tensor, noise: Tensor) -> dict[str, Tensor]:
    found = {
        "latents_BMFCHW": batch.latents_BMFCHW,
        "depth_scores_BF": batch.depth_scores_BF,
        **vars(batch.conditions),
        "timesteps": timesteps,
        "noise": noise,
    }
    return {name: x for name, x in found.items() if x is not None}


def _with(batch: LatentBatch, tensors: dict[str, Tensor]) -> LatentBatch:
    """The batch with these tensors in place of its own."""
    conditions = replace(
        batch.conditions, **{n: tensors[n] for n in vars(batch.conditions) if n in tensors}
    )
    return replace(
        batch,
        latents_BMFCHW=tensors["latents_BMFCHW"],
        depth_scores_BF=tensors.get("depth_scores_BF"),
        conditions=conditions,
    )
