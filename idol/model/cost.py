"""Parameters and FLOPs, counted on the meta device: exact, in seconds, without memory."""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from idol.config.model import CLIP_STAGES, VIDEO, DualModalUNetConfig, StageName
from idol.model.denoiser import DualModalDenoiser
from idol.model.stages import set_trainable, stage_config

__all__ = [
    "Flops",
    "build",
    "example_inputs",
    "flops_of",
    "forward_flops",
    "parameters",
    "step_flops",
]


@dataclasses.dataclass(frozen=True)
class Flops:
    """Floating-point operations of one clip's forward; a multiplication and addition are two."""

    unet: int
    cross_modal: int
    controlnet: int
    projection: int

    @property
    def total(self) -> int:
        """All parts together, as one denoising step without guidance costs."""
        return self.unet + self.cross_modal + self.controlnet + self.projection


def parameters(module: nn.Module) -> int:
    """Number of parameters of `module`."""
    return sum(parameter.numel() for parameter in module.parameters())


def example_inputs(
    config: DualModalUNetConfig,
    stage: StageName,
    *,
    frames: int,
    size: int,
    tokens: int,
    device: str,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """Random inputs of one clip for `DualModalDenoiser`, shaped as `stage` shapes them.

    Args:
        size: height and width of a latent.
        tokens: of the foreground; how many its encoder makes (`idol.encoders.foreground_tokens`).
    """

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device, dtype=dtype)

    frames = frames if stage in CLIP_STAGES else 1
    modalities = (VIDEO,) if stage == "pretrain" else config.modalities
    latent = pose = (config.latent_channels, size, size)
    if config.pose_control == "t2i_adapter":  # which sees pixels
        pose = (3, size * config.pose_downscale, size * config.pose_downscale)
    place: tuple[int, ...] = latent
    if config.posed_foreground and stage != "pretrain":
        place = (2, frames, *latent) if config.posed_depth else (frames, *latent)
    return {
        "latents_BMFCHW": draw(1, len(modalities), frames, *latent),
        "timesteps_B": torch.full((1,), 500, device=device),
        "encoded_foreground_BTD": draw(1, tokens, config.foreground_dim),
        "background_BCHW": draw(1, *place),
        "pose_BFCHW": None if stage == "pretrain" else draw(1, frames, *pose),
        "modalities": modalities,
    }


def build(
    config: DualModalUNetConfig,
    stage: StageName,
    device: str,
    kind: type[DualModalDenoiser] = DualModalDenoiser,
) -> DualModalDenoiser:
    """Build the model of `stage` with the right parameters trainable; `kind`: a variant's class."""
    with torch.device(device):
        model = kind.from_config(stage_config(config, stage))
    set_trainable(model, stage)
    return model


def forward_flops(
    config: DualModalUNetConfig, stage: StageName, *, frames: int, size: int, tokens: int
) -> Flops:
    """Count the FLOPs of one clip's forward pass with torch's counter; see `example_inputs`."""
    model = build(config, stage, "meta")
    inputs = example_inputs(config, stage, frames=frames, size=size, tokens=tokens, device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(**inputs)
    by_module = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}

    def of(part: str) -> int:
        return by_module.get(f"DualModalDenoiser.{part}", 0)

    exchange = sum(
        flops
        for name, flops in by_module.items()
        if name.endswith(".cross_modal") or ".cross_modal_layers." in f"{name}."
        if not name.endswith(".cross_modal_layers")
    )
    return Flops(of("unet") - exchange, exchange, of("controlnet"), of("foreground_projection"))


def flops_of(model: nn.Module, inputs: dict[str, Any]) -> int:
    """Count the FLOPs of a forward pass, of any system; both on the meta device."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(**inputs)
    return counter.get_total_flops()


def step_flops(
    config: DualModalUNetConfig, stage: StageName, *, frames: int, size: int, tokens: int
) -> int:
    """Count the FLOPs of one clip's forward and backward pass; see `example_inputs`."""
    model = build(config, stage, "meta")
    inputs = example_inputs(config, stage, frames=frames, size=size, tokens=tokens, device="meta")
    counter = FlopCounterMode(display=False)
    with counter:
        model(**inputs).noise_pred_BMFCHW.sum().backward()
    return counter.get_total_flops()
