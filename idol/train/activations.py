"""What a forward pass keeps for backward, counted on the meta device."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["kept_for_backward"]


def kept_for_backward(model: nn.Module, forward: Callable[[], object]) -> tuple[int, int]:
    """Run `forward`, a pass through `model`, and count what autograd keeps of it.

    Returns:
        Bytes of activations, and those of the weights that layers refer to.
    """
    own: dict[int, Tensor] = {p.untyped_storage()._cdata: p for p in model.parameters()}
    kept: dict[int, Tensor] = {}
    weights: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        (weights if storage in own else kept)[storage] = tensor
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, _EfficientAttention(own):
        forward()
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
