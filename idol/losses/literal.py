"""Eq. 3-6 with whole maps in memory: what ours must equal.

As printed but for Eq. 5's divisor, and of Eq. 6's squared norm the mean: an MSE, by the text.

For reading, for tests and for the benchmark; training uses `idol.losses`.
"""

import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "attention_map",
    "cost_volume",
    "cross_attention_consistency",
    "motion_consistency",
    "motion_field",
]


# Eq. 3: the cost volumes of all frame pairs.
def cost_volume(features: Tensor) -> Tensor:
    """(B, F, H, W, C) to (B, F - 1, HW, HW): cosine similarities, targets last."""
    unit = F.normalize(features.flatten(2, 3), dim=-1)
    return unit[:, :-1] @ unit[:, 1:].transpose(-1, -2)


# Eq. 4: the motion field.
def motion_field(features: Tensor, temperature: float) -> Tensor:
    """(B, F, H, W, C) to (B, F - 1, HW, HW): each source's distribution over targets."""
    return (cost_volume(features) / temperature).softmax(dim=-1)


# Eq. 5, but for its divisor: the paper prints L frames, of which there are L - 1 pairs.
def motion_consistency(video: Tensor, depth: Tensor, temperature: float) -> Tensor:
    """Mean squared difference of the motion fields of two (B, F, H, W, C) features."""
    return F.mse_loss(motion_field(video, temperature), motion_field(depth, temperature))


# The cross-attention map M of Eq. 6.
def attention_map(queries: Tensor, keys: Tensor) -> Tensor:
    """(N, heads, L, D) and (N, heads, T, D) to (N, heads, L, T)."""
    return (queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5).softmax(dim=-1)


# Eq. 6: an MSE by the text, where the equation is a squared norm.
def cross_attention_consistency(
    video_queries: Tensor, video_keys: Tensor, depth_queries: Tensor, depth_keys: Tensor
) -> Tensor:
    """Mean squared difference of the cross-attention maps, head by head."""
    return F.mse_loss(
        attention_map(video_queries, video_keys), attention_map(depth_queries, depth_keys)
    )
