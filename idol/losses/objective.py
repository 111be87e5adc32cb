"""The training objective: denoising, Eq. 2, and the weighted sum with consistency, Eq. 7.

Shape suffixes: B clips, M modalities, F frames; see `idol.model.layout`.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from idol.config.losses import LossConfig
from idol.config.model import DEPTH, MODALITY_NAMES
from idol.diffusion.schedule import signal_fraction
from idol.losses.cross_attention import cross_attention_consistency
from idol.losses.motion import motion_consistency

__all__ = [
    "ComparedLayer",
    "Losses",
    "denoising_losses",
    "feature_gradient_norms",
    "layer_cross_attention_loss",
    "layer_motion_loss",
    "training_losses",
]


# For gradients in half precision, powers of two, so that nothing is rounded.
_SCALES = (2.0**32, 2.0**24, 2.0**16, 2.0**8, 1.0)


class ComparedLayer(Protocol):
    """What a compared layer offers; `idol.model.ConsistencyFeatures` is one."""

    @property
    def motion_BMFHWC(self) -> Tensor: ...
    @property
    def queries_BMFhLD(self) -> Tensor: ...
    @property
    def keys_BMFhTD(self) -> Tensor: ...


@dataclasses.dataclass(frozen=True)
class Losses:
    """The objective and its unweighted terms, scalars all; `total` is to be minimised.

    Attributes:
        denoise_M: mean squared error of each modality's noise (M,), video first: the same whatever
            `LossConfig.denoise_error` makes of it in `total`, so that runs compare.
        motion, cross_attention: sums over the compared layers, by `LossConfig`'s reduction, divisor
            and heads: of runs that have these alike they compare. Zero where the weight is 0.
    """

    total: Tensor
    denoise_M: Tensor
    motion: Tensor
    cross_attention: Tensor

    def named(self) -> dict[str, Tensor]:
        """The scalars by their names in logs, without their graph.

        `total`, `denoise_video`, `denoise_depth`, `motion` and `cross_attention`; with video alone
        (pre-training) the first two.
        """
        names = [f"denoise_{name}" for name in MODALITY_NAMES]
        scalars = {"total": self.total, **dict(zip(names, self.denoise_M, strict=False))}
        if len(self.denoise_M) > 1:
            scalars |= {"motion": self.motion, "cross_attention": self.cross_attention}
        return {name: scalar.detach() for name, scalar in scalars.items()}


# Eq. 2 (two modalities) and Eq. 8 (video alone).
def denoising_losses(noise_pred_BMFCHW: Tensor, noise_BMFCHW: Tensor) -> Tensor:
    """Return each modality's mean squared error (M,) in float32; Eq. 2 is their sum."""
    return _errors(noise_pred_BMFCHW, noise_BMFCHW).mean(dim=0)


def _errors(noise_pred_BMFCHW: Tensor, noise_BMFCHW: Tensor) -> Tensor:
    """Mean squared errors (B, M) in float32."""
    difference = noise_pred_BMFCHW.float() - noise_BMFCHW.float()
    return difference.square().flatten(2).mean(dim=2)


def _per_frame(noise_pred_BMFCHW: Tensor, noise_BMFCHW: Tensor) -> Tensor:
    """Mean squared errors of each frame (B, M, F) in float32."""
    difference = noise_pred_BMFCHW.float() - noise_BMFCHW.float()
    return difference.square().flatten(3).mean(dim=3)


# Charbonnier et al. (1997), of a pixel's channels together; in training by denoising, Song and
# Dhariwal (2023).
def _pseudo_huber(
    noise_pred_BMFCHW: Tensor,
    noise_BMFCHW: Tensor,
    weights_B: Tensor,
    hubers: tuple[float, float],
) -> Tensor:
    """Each frame's mean (B, M, F) of what `LossConfig.huber` makes of the weighed squared errors of
    its latent pixels, by each modality's c; float32."""
    difference = noise_pred_BMFCHW.float() - noise_BMFCHW.float()
    errors_BMFHW = difference.square().mean(dim=3) * weights_B[:, None, None, None, None]
    robust = [
        # 2 c (sqrt(m + c^2) - c), without the difference of two near numbers.
        2 * c * m_BFHW / ((m_BFHW + c**2).sqrt() + c) if c else m_BFHW
        for c, m_BFHW in zip(hubers, errors_BMFHW.unbind(1), strict=False)
    ]
    return torch.stack(robust, dim=1).flatten(3).mean(dim=3)


def _weighed(errors_BMF: Tensor, depth_scores_BF: Tensor | None) -> Tensor:
    """The mean over frames (B, M), each frame's error of depth times its score; video's as it
    is."""
    if depth_scores_BF is not None:
        weights_BMF = torch.ones_like(errors_BMF)
        weights_BMF[:, DEPTH] = depth_scores_BF
        errors_BMF = weights_BMF * errors_BMF
    return errors_BMF.mean(dim=2)


# Eq. 7.
def training_losses(
    noise_pred_BMFCHW: Tensor,
    noise_BMFCHW: Tensor,
    features: Sequence[ComparedLayer],
    config: LossConfig,
    timesteps_B: Tensor | None = None,
    depth_scores_BF: Tensor | None = None,
) -> Losses:
    """Compute the objective of one step.

    Args:
        noise_pred_BMFCHW, noise_BMFCHW: the model's output and the noise that was added.
        features: compared layers, both modalities each; empty in pre-training.
        config: weights and switches. With one frame there is no motion loss.
        timesteps_B: needed for the errors of v and of the clean latents alone.
        depth_scores_BF: in `total` each frame's error of depth counts by this, from 0 to 1; all
            wholly unless given.

    Raises:
        ValueError: the error is not to be that of the noise, and there are no timesteps.
    """
    errors_BM = _errors(noise_pred_BMFCHW, noise_BMFCHW)
    denoise_M = errors_BM.mean(dim=0)
    if depth_scores_BF is not None:
        errors_BM = _weighed(_per_frame(noise_pred_BMFCHW, noise_BMFCHW), depth_scores_BF)
    total = errors_BM.mean(dim=0).sum()
    weights_B = torch.ones_like(errors_BM[:, 0])
    if config.denoise_error != "noise":
        if timesteps_B is None:
            raise ValueError(
                f"denoise_error={config.denoise_error!r} weighs clips by their timesteps: give them"
            )
        fraction = signal_fraction(timesteps_B)
        # An error of v is that of the noise over sqrt(a), one of z_0 that times sqrt(1 - a) more.
        error = 1.0 if config.denoise_error == "v" else 1 - fraction
        total = (errors_BM.sum(dim=1) * error / fraction).mean()
        weights_B = error / fraction
    if any(config.hubers):
        robust_BMF = _pseudo_huber(noise_pred_BMFCHW, noise_BMFCHW, weights_B, config.hubers)
        total = _weighed(robust_BMF, depth_scores_BF).sum(dim=1).mean()
    motion = cross_attention = denoise_M.new_zeros(())
    for layer in features:
        if config.motion_weight and layer.motion_BMFHWC.shape[2] > 1:
            motion = motion + layer_motion_loss(layer, config)
        if config.cross_attention_weight:
            cross_attention = cross_attention + layer_cross_attention_loss(layer, config)
    total = total + config.motion_weight * motion
    total = total + config.cross_attention_weight * cross_attention
    return Losses(total, denoise_M, motion, cross_attention)


# L_mo,n of Eq. 7, with the temperature of appendix B: 1/sqrt(D_n).
def layer_motion_loss(layer: ComparedLayer, config: LossConfig) -> Tensor:
    """Return the motion consistency of one layer."""
    # unbind, not indexing: its backward is one stack instead of two padded copies and a sum.
    video, depth = layer.motion_BMFHWC.unbind(1)
    temperature = video.shape[-1] ** -0.5
    return motion_consistency(
        video,
        depth,
        temperature,
        reduction=config.motion_reduction,
        divisor=config.motion_divisor,
    )


# L_xattn,n of Eq. 7.
def layer_cross_attention_loss(layer: ComparedLayer, config: LossConfig) -> Tensor:
    """Return the cross-attention map consistency of one layer, over clips and frames."""
    video_queries, depth_queries = layer.queries_BMFhLD.unbind(1)
    video_keys, depth_keys = layer.keys_BMFhTD.unbind(1)
    return cross_attention_consistency(
        video_queries.flatten(0, 1),
        video_keys.flatten(0, 1),
        depth_queries.flatten(0, 1),
        depth_keys.flatten(0, 1),
        average_heads=config.average_heads,
    )


def feature_gradient_norms(losses: Losses, features: Sequence[ComparedLayer]) -> dict[str, float]:
    """Return the norm of each consistency loss's gradient at the features it compares.

    For logs: the mean of Eq. 5 is at most 2/(HW), so its value alone says little. Features in half
    precision take gradients in half, whose smallest numbers these would fall below: there the loss
    is scaled up while they are taken, as far as nothing overflows. Call before
    `losses.total.backward()`; the graph is kept.
    """
    norms = {}
    tensors = [x for f in features for x in (f.motion_BMFHWC, f.queries_BMFhLD, f.keys_BMFhTD)]
    half = any(x.dtype.itemsize < 4 for x in tensors)
    for name in ("motion", "cross_attention"):
        loss = getattr(losses, name)
        if not loss.requires_grad:
            continue
        for scale in _SCALES if half else (1.0,):
            scaled = loss * scale
            grads = torch.autograd.grad(scaled, tensors, retain_graph=True, allow_unused=True)
            squares = [(g.float() / scale).square().sum() for g in grads if g is not None]
            norms[name] = float(torch.stack(squares).sum().sqrt())
            if math.isfinite(norms[name]):
                break
    return norms
