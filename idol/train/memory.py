"""What a run keeps in a GPU's memory, computed, and what to change when it is too much."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from idol.bench.cost import build, example_inputs
from idol.codec import PatchCodec
from idol.train.config import TrainConfig
from idol.train.errors import TrainError
from shards.console import human_bytes

__all__ = ["Estimate", "estimate", "out_of_memory"]

# Stable Diffusion's VAE and CLIP ViT-L/14, counted; preset tiny has neither.
_FROZEN_PARAMETERS = 83_653_863 + 303_966_208


@dataclass(frozen=True)
class Estimate:
    """Bytes in one process, computed from shapes; what the allocator wastes is not in it."""

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int

    @property
    def total(self) -> int:
        return sum(dataclasses.astuple(self))


def estimate(config: TrainConfig, processes: int = 1) -> Estimate:
    """What a run keeps until backward; nothing is allocated for this."""
    run = config.run
    model = build(config.model, config.stage, "meta")
    counts = [p.numel() for p in model.parameters()]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    shared = processes if run.fsdp else 1
    half = run.mixed_precision != "no"
    frozen = 0 if config.preset == "tiny" else _FROZEN_PARAMETERS * (2 if half else 4)
    return Estimate(
        weights=4 * sum(counts) // shared + frozen,
        gradients=4 * trained // shared,
        optimizer=(2 if config.optimizer.adam_8bit else 8) * trained // shared,
        average=4 * trained // shared if config.optimizer.ema else 0,
        activations=run.batch_size * _kept_for_backward(config) // (2 if half else 1),
    )


def out_of_memory(config: TrainConfig, processes: int, error: BaseException) -> TrainError:
    """An error that says what the run takes, and what each way to take less would come to."""
    now = estimate(config, processes)
    lines = [f"  {name}: {human_bytes(size)}" for name, size in dataclasses.asdict(now).items()]
    ways = [
        f"  {human_bytes(estimate(changed, processes).total):>9}  {option}"
        for option, changed in _smaller(config, processes).items()
    ]
    return TrainError(
        f"out of memory ({str(error).splitlines()[0]}). Computed for this run, in each process:\n"
        + "\n".join(lines)
        + f"\n  together: {human_bytes(now.total)}, and what the allocator needs beside it\n"
        + ("It would come to:\n" + "\n".join(ways) if ways else "Every way to take less is on.")
        + "\nA smaller --size or fewer --frames take less, too."
    )


def _smaller(config: TrainConfig, processes: int) -> dict[str, TrainConfig]:
    """Ways to take less memory for the same batch of a step, by their options."""
    run, optimizer = config.run, config.optimizer

    def with_run(**changes: Any) -> TrainConfig:
        return dataclasses.replace(config, run=dataclasses.replace(run, **changes))

    ways = {}
    if run.batch_size % 2 == 0:
        halves = {"batch_size": run.batch_size // 2, "accumulation": run.accumulation * 2}
        option = f"--batch-size {halves['batch_size']} --accumulation {halves['accumulation']}"
        ways[option] = with_run(**halves)
    if not run.gradient_checkpointing:
        ways["--gradient-checkpointing"] = with_run(gradient_checkpointing=True)
    if run.mixed_precision == "no":
        ways["--mixed-precision bf16"] = with_run(mixed_precision="bf16")
    fsdp_goes = run.mixed_precision != "fp16" and not optimizer.adam_8bit
    if processes > 1 and not run.fsdp and fsdp_goes:
        ways["--fsdp"] = with_run(fsdp=True)
    if not optimizer.adam_8bit and not run.fsdp:
        small = dataclasses.replace(optimizer, adam_8bit=True)
        ways["--adam-8bit"] = dataclasses.replace(config, optimizer=small)
    return ways


def _kept_for_backward(config: TrainConfig) -> int:
    """Bytes in float32 that one clip's forward pass keeps, found on the meta device."""
    model = build(config.model, config.stage, "meta")
    if config.run.gradient_checkpointing:
        model.enable_gradient_checkpointing()
    factor = PatchCodec.factor if config.preset == "tiny" else 8
    inputs = example_inputs(
        config.model,
        config.stage,
        frames=config.frames,
        size=config.data.size // factor,
        device="meta",
    )
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = tensor
        return tensor

    compared = config.loss.motion_weight > 0 or config.loss.cross_attention_weight > 0
    features = config.stage != "pretrain" and compared
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(**inputs, return_features=features)
    del output
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
