"""Half precision: copies of the weights, made together at the start of each pass.

Autocast copies each weight when a layer asks for it, and again its gradient, one launch each; and
norms take their inputs to float32 and back. Here a unit's weights are copied by a launch for lists,
and the network runs in half precision throughout, as it does in generation; its norms compute their
statistics in float32 all the same. The parameters stay float32: they are what is trained, averaged
and saved.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["run_in_half"]

# Their gradients are made float32 together, as soon as they are there.
_UNITS = ("ResBlock", "Transformer", "CrossModalAttention", "MotionModule")

# But these, whose gradients come at the end, when all units have theirs (`encoder`).
_SHARED = (".time_emb_proj", ".attn2.to_k", ".attn2.to_v")

_CONDITIONS = {"encoded_foreground_BTD", "pose_BFCHW"}

_Slot = tuple[nn.Module, str]


def run_in_half(model: nn.Module, dtype: torch.dtype) -> None:
    """Let a float32 denoiser compute in `dtype` from now on, its conditions copied too.

    Latents and background stay as they are: from what a network of `v` or `change` predicts, noise
    is made by differences of them. Autocast must be off when it is called. `parameters()` and
    `state_dict()` are as before.
    """
    units = list(_units(model))
    signature = inspect.signature(model.forward)

    def halve(_: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        for unit in units:
            _put_in_place(unit, dtype)
        given = signature.bind(*args, **kwargs)
        for name in _CONDITIONS & given.arguments.keys():
            if given.arguments[name] is not None:
                given.arguments[name] = given.arguments[name].to(dtype)
        return given.args, given.kwargs

    def drop(*_: Any) -> None:
        # With gradients they stay until the next pass: checkpointing computes anew in backward.
        if not torch.is_grad_enabled():
            for unit in units:
                for module, name in unit:
                    vars(module).pop(name, None)

    model.register_forward_pre_hook(halve, with_kwargs=True)
    model.register_forward_hook(drop, always_call=True)


def _units(model: nn.Module) -> Iterator[list[_Slot]]:
    """Where the weights are: of each unit, and of what is in none."""
    seen: set[nn.Module] = set()
    shared = {m for name, m in model.named_modules() if name.endswith(_SHARED)}
    for module in model.modules():
        if type(module).__name__ in _UNITS and module not in seen:
            inside = [m for m in module.modules() if m not in seen | shared]
            seen.update(inside)
            yield _slots(inside)
    yield _slots([m for m in model.modules() if m not in seen])


def _slots(modules: list[nn.Module]) -> list[_Slot]:
    return [(m, name) for m in modules for name, x in _own(m).items() if x.is_floating_point()]


def _own(module: nn.Module) -> dict[str, Tensor]:
    """Parameters, and buffers such as the positions of motion modules."""
    own = (*module._parameters.items(), *module._buffers.items())
    return {name: tensor for name, tensor in own if tensor is not None}


def _put_in_place(unit: list[_Slot], dtype: torch.dtype) -> None:
    weights = [_own(module)[name] for module, name in unit]
    # An attribute of the object goes before the parameter of the same name, which stays.
    for (module, name), half in zip(unit, _halves(weights, dtype), strict=True):
        vars(module)[name] = half


def _halves(weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    trained = [w for w in weights if w.requires_grad]
    copies = dict(zip(map(id, trained), _Halves.apply(dtype, *trained), strict=True))
    frozen = [w for w in weights if not w.requires_grad]
    copies |= zip(map(id, frozen), _copied(frozen, dtype), strict=True)
    return [copies[id(w)] for w in weights]


class _Halves(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tuple(_copied(weights, dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        there = [grad for grad in grads if grad is not None]
        copies = iter(_copied(there, torch.float32))
        return None, *(None if grad is None else next(copies) for grad in grads)


@torch.no_grad()
def _copied(tensors: Any, dtype: torch.dtype) -> list[Tensor]:
    copies = [torch.empty_like(x, dtype=dtype) for x in tensors]
    if copies:
        torch._foreach_copy_(copies, [*tensors])
    return copies
