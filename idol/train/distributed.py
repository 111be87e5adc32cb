"""Several processes train one model: it is replicated (DDP) or divided among them (FSDP)."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    GradientAccumulationPlugin,
    gather_object,
)
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from idol.config.train import TrainConfig
from idol.precision import round_to_tf32
from idol.train.stopping import TrainError

__all__ = [
    "average_gradients",
    "by_autocast",
    "distribute",
    "divided_like",
    "free_memory",
    "make_accelerator",
    "mean_over_passes",
    "mean_over_processes",
    "whole",
    "whole_state",
]

# Divided apart, so that only one at a time is whole in memory: they hold nearly all parameters.
_UNITS = ("ResBlock", "Transformer", "CrossModalAttention")


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Devices and processes, as `accelerate launch`, torchrun or a plain start gives them.

    Raises:
        TrainError: FSDP is asked for, and no launcher started this process; or what needs a GPU,
            and there is none.
    """
    if not torch.accelerator.is_available():
        options = {
            "--mixed-precision fp16": config.run.mixed_precision == "fp16",
            "--adam-8bit": config.optimizer.adam_8bit,
        }
        TrainError.raise_if_any(
            [f"{option}: use another, or leave it out" for option, on in options.items() if on],
            "this needs a GPU, and there is none here",
        )
    round_to_tf32(config.run.tf32)
    # A process has one precision and one device until this: a run before this one may have had
    # others. A process among several has its group for good.
    alone = not torch.distributed.is_initialized()
    AcceleratorState._reset_state(reset_partial_state=alone)
    # Of several processes without a GPU each would take itself for the only one.
    several_on_cpus = "RANK" in os.environ and not torch.accelerator.is_available()
    accelerator = Accelerator(
        cpu=config.run.cpu or several_on_cpus,
        mixed_precision=config.run.mixed_precision if by_autocast(config) else "no",
        # The loop averages over passes; accelerate would divide once more.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    if config.run.fsdp and not torch.distributed.is_initialized() and "RANK" not in os.environ:
        raise TrainError(
            "--fsdp divides a model among processes, and this one is alone: start several by "
            "`torchrun --nproc-per-node N -m idol.train.cli ...` or `accelerate launch`, or leave "
            "--fsdp out"
        )
    return accelerator


def by_autocast(config: TrainConfig) -> bool:
    """Whether layers copy their weights one by one, or there is nothing to copy.

    Else, with bf16, `idol.train.half` does it. fp16 needs norms in float32; of divided weights
    nobody has copies.
    """
    run = config.run
    networks = config.stage in ("autoencoder", "distill")  # others than one denoiser
    return run.mixed_precision != "bf16" or run.fsdp or networks


def free_memory(accelerator: Accelerator) -> int | None:
    """Bytes that are free on the GPU of every process, the same in each; None on a CPU."""
    if accelerator.device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(accelerator.device)
    return min(gather_object([free]))


def distribute(accelerator: Accelerator, module: nn.Module, *, fsdp: bool) -> nn.Module:
    """Move a module to this process's device and let all processes train it together."""
    if not fsdp:
        return accelerator.prepare_model(module)
    # About views that are changed in place afterwards: the model changes none.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    module.to(accelerator.device)
    for unit in [m for m in module.modules() if type(m).__name__ in _UNITS]:
        fully_shard(unit, mesh=mesh)
    for part in module.children():
        if any(True for _ in part.parameters()) and not isinstance(part, nn.ModuleList):
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


@contextmanager
def average_gradients(modules: Sequence[nn.Module], *, now: bool) -> Iterator[None]:
    """Average gradients over processes in the backward passes in here, or not yet."""
    with ExitStack() as stack:
        for module in modules:
            if isinstance(module, FSDPModule):
                module.set_requires_gradient_sync(now)
            elif isinstance(module, DistributedDataParallel) and not now:
                stack.enter_context(module.no_sync())
        yield


def mean_over_passes(passes: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of scalars of the same names over the passes of a step."""
    means = torch.stack([torch.stack([*scalars.values()]) for scalars in passes]).mean(dim=0)
    return dict(zip(passes[0], means, strict=True))


def mean_over_processes(
    accelerator: Accelerator, scalars: Mapping[str, Tensor]
) -> dict[str, float]:
    """Mean of scalars over processes, the same in each of them, by one exchange."""
    means = accelerator.reduce(torch.stack([*scalars.values()]), "mean").tolist()
    return dict(zip(scalars, means, strict=True))


def whole(tensor: Tensor) -> Tensor:
    """A tensor as one process would have it. With FSDP all processes must ask together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors on the CPU, contiguous. With FSDP all processes must ask together."""
    return {name: whole(tensor.detach()).cpu().contiguous() for name, tensor in tensors.items()}


def divided_like(tensor: Tensor, reference: Tensor) -> Tensor:
    """A whole tensor on the reference's device, divided as the reference is."""
    if not isinstance(reference, DTensor):
        # A copy, for on the CPU it is a map of the file, which may go; laid out as the reference.
        if tensor.shape == reference.shape:
            return torch.empty_like(reference, dtype=tensor.dtype).copy_(tensor)
        return tensor.to(reference.device, copy=True)
    tensor = tensor.to(reference.device_mesh.device_type)
    if tensor.shape != reference.shape:  # such as a count of steps
        return tensor
    return distribute_tensor(tensor, reference.device_mesh, reference.placements)
