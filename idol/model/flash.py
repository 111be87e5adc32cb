"""Attention by the fused kernels, whatever the width of a head.

Torch's flash kernels for GPUs take half precision and heads whose channels are a multiple of 8, and
fill them up in their own tiles: 40 channels to 64, 80 to 96, 160 to 192. Other widths would go
to a slower kernel. There heads get channels of zeros here: they add nothing to any product, and the
map keeps the scale of the true width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["attend"]

HEAD_MULTIPLE = 8

# Of one launch, as CUDA counts blocks.
_MOST_HEADS = 65535


def attend(queries: Tensor, keys: Tensor, values: Tensor, *, multiple: int = 0) -> Tensor:
    """softmax(q k^T / sqrt(D)) v for (N, heads, L, D) queries and (N, heads, T, D) keys, values.

    Args:
        multiple: pad heads to a multiple of so many channels; unless given to `HEAD_MULTIPLE` on
            GPUs, and not elsewhere.
    """
    channels, heads = queries.shape[-1], queries.shape[1]
    if heads > _MOST_HEADS:
        parts = (x.split(_MOST_HEADS, dim=1) for x in (queries, keys, values))
        return torch.cat([attend(*part, multiple=multiple) for part in zip(*parts, strict=True)], 1)
    multiple = multiple or (HEAD_MULTIPLE if queries.device.type == "cuda" else 1)
    if not (missing := -channels % multiple):
        return F.scaled_dot_product_attention(queries, keys, values)
    queries, keys, values = (F.pad(x, (0, missing)) for x in (queries, keys, values))
    mixed = F.scaled_dot_product_attention(queries, keys, values, scale=channels**-0.5)
    return mixed[..., :channels]
