"""What a run keeps in a GPU's memory, computed, and what to change when it is too much."""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from idol.config.train import TrainConfig
from idol.encoders import PatchCodec, foreground_tokens
from idol.model.cost import build, example_inputs
from idol.train.stopping import TrainError
from shards.inspect.console import human_bytes

__all__ = ["Estimate", "estimate", "out_of_memory"]

# Stable Diffusion's VAE and CLIP ViT-L/14, counted; preset tiny has neither.
_VAE_PARAMETERS, _CLIP_PARAMETERS = 83_653_863, 303_966_208

# Autocast leaves norms and losses in float32: a third of the bytes is saved, as measured on runs
# of all stages, and not half.
_AUTOCAST_FRACTION = 2 / 3


@dataclass(frozen=True)
class Estimate:
    """Bytes in one process, computed from shapes; what the allocator wastes is not in it.

    Runs of `sd14` on an H100 took 1.01 to 1.08 times as much (torch 2.11, every stage, float32 and
    bf16 with and without checkpointing; `docs/training.md`).
    """

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int
    gradients_stay: bool

    @property
    def parts(self) -> dict[str, int]:
        """Every part by its name."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k != "gradients_stay"}

    @property
    def total(self) -> int:
        """All at once; unless gradients stay, they come as activations go."""
        if self.gradients_stay:
            return sum(self.parts.values())
        lasting = self.weights + self.optimizer + self.average
        return lasting + max(self.gradients, self.activations)


def estimate(config: TrainConfig, processes: int = 1) -> Estimate:
    """What a run keeps until backward; nothing is allocated for this."""
    run = config.run
    model = build(config.model, config.stage, "meta")
    counts = [p.numel() for p in model.parameters()]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    shared = processes if run.fsdp else 1
    half = run.mixed_precision != "no"
    for_a_clip, of_weights = _kept_for_backward(_of_one_clip(config))
    activations = config.clips_in_pass * for_a_clip
    if half:  # the layers keep copies of their weights then
        activations = int(_AUTOCAST_FRACTION * activations) + of_weights // 2
    frozen = _frozen_parameters(config) * (2 if half else 4)
    if config.stage == "distill":
        frozen += 4 * sum(counts)  # the teacher, whole in each process
    return Estimate(
        weights=4 * sum(counts) // shared + frozen,
        gradients=4 * trained // shared,
        optimizer=(2 if config.optimizer.adam_8bit else 8) * trained // shared,
        average=4 * trained // shared if config.optimizer.ema else 0,
        activations=activations,
        # Through the passes of a step, and in the buckets that processes exchange them in.
        gradients_stay=run.accumulation > 1 or (processes > 1 and not run.fsdp),
    )


def out_of_memory(config: TrainConfig, processes: int, error: BaseException) -> TrainError:
    """An error that says what the run takes, and what each way to take less would come to."""
    now = estimate(config, processes)
    lines = [f"  {name}: {human_bytes(size)}" for name, size in now.parts.items()]
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
    if config.clips_in_pass % 2 == 0:
        halves = {"batch_size": config.clips_in_pass // 2, "accumulation": run.accumulation * 2}
        option = f"--batch-size {halves['batch_size']} --accumulation {halves['accumulation']}"
        ways[option] = with_run(**halves)
    if not run.gradient_checkpointing:
        ways["--gradient-checkpointing"] = with_run(gradient_checkpointing=True)
    if run.mixed_precision == "no":
        ways["--mixed-precision bf16"] = with_run(mixed_precision="bf16")
    fsdp_goes = run.mixed_precision != "fp16" and not optimizer.adam_8bit
    if processes > 1 and not run.fsdp and fsdp_goes:
        ways["--fsdp"] = with_run(fsdp=True)
    if not optimizer.adam_8bit and not run.fsdp and not run.cpu:
        small = dataclasses.replace(optimizer, adam_8bit=True)
        ways["--adam-8bit"] = dataclasses.replace(config, optimizer=small)
    data = config.data
    can_cache = config.preset == "sd14" and config.stage != "pretrain"
    if can_cache and not data.moves_images and not data.latents:
        cached = dataclasses.replace(data, latents=True)
        drawless = dataclasses.replace(config.report, sample_every=0)
        option = "--latents --sample-every 0, after `idol-prep encode`"
        ways[option] = dataclasses.replace(config, data=cached, report=drawless)
    return ways


def _frozen_parameters(config: TrainConfig) -> int:
    if config.preset == "tiny":
        return 0
    # With cached latents the VAE is loaded for sample images, or for the holes of pre-training.
    needed = not config.data.latents or config.report.sample_every or config.stage == "pretrain"
    return _CLIP_PARAMETERS + (_VAE_PARAMETERS if needed else 0)


def _of_one_clip(config: TrainConfig) -> TrainConfig:
    return dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, batch_size=1, accumulation=1, clips_per_step=None),
    )


@lru_cache(maxsize=8)
def _kept_for_backward(config: TrainConfig) -> tuple[int, int]:
    """What a forward pass keeps, found on the meta device.

    Returns:
        Bytes in float32 of one clip, and those of the weights that layers refer to.
    """
    model = build(config.model, config.stage, "meta")
    if config.run.gradient_checkpointing:
        model.enable_gradient_checkpointing()
    factor = PatchCodec.factor if config.preset == "tiny" else 8
    inputs = example_inputs(
        config.model,
        config.stage,
        frames=config.frames,
        size=config.data.size // factor,
        tokens=foreground_tokens(config.preset, config.model),
        device="meta",
    )
    own: dict[int, Tensor] = {p.untyped_storage()._cdata: p for p in model.parameters()}
    kept: dict[int, Tensor] = {}
    weights: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        (weights if storage in own else kept)[storage] = tensor
        return tensor

    features = config.stage not in ("pretrain", "distill") and config.loss.compares
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, _EfficientAttention(own):
        output = model(**inputs, return_features=features)
    del output
    return _bytes_of(kept), _bytes_of(weights)


def _bytes_of(tensors: dict[int, Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors.values())


class _EfficientAttention(TorchFunctionMode):
    """Attention as GPUs compute it: on the meta device torch would keep the maps themselves.

    Weights that are put side by side for one product are weights, too: `own` gets them by their
    storage, and holds them, for another tensor would be given the address of one that is gone.
    """

    def __init__(self, own: dict[int, Tensor]) -> None:
        super().__init__()
        self._own = own

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is F.scaled_dot_product_attention:
            queries, keys, values = args
            efficient = torch.ops.aten._scaled_dot_product_efficient_attention
            return efficient(queries, keys, values, None, compute_log_sumexp=True)[0]
        result = function(*args, **(kwargs or {}))
        if function is torch.cat and all(isinstance(x, nn.Parameter) for x in args[0]):
            self._own[result.untyped_storage()._cdata] = result
        return result
