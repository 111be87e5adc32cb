"""A pipeline with random weights, small enough that a step takes hundredths of a second."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from idol.diffusion.schedule import ddim_scheduler
from idol.encoders import CLIPEncoder, PatchCodec, TinyEncoder, VAECodec
from idol.encoders.small import SmallAutoencoder
from idol.generate.pipeline import IdolPipeline
from idol.model import DualModalDenoiser, DualModalUNetConfig
from idol.model_info import DepthMeaning, ModelInfo
from tests.idol.small import randomise
from tests.idol.train.micro import MODEL, SIZE

FRAMES = 3


def tiny(
    settings: DualModalUNetConfig = MODEL,
    kind: type[DualModalDenoiser] = DualModalDenoiser,
    **info: Any,
) -> IdolPipeline:
    """Preset tiny with random weights, none of them where it starts."""
    torch.manual_seed(0)
    denoiser = kind.from_config(settings)
    randomise(denoiser)
    codec = PatchCodec()
    about = {"stage": "video", "preset": "tiny", "size": SIZE, "frames": FRAMES, "step": 1, **info}
    return IdolPipeline.of(
        denoiser,
        TinyEncoder(settings.foreground_dim),
        codec,
        ddim_scheduler(codec.bound),
        ModelInfo(settings=settings, **about),
    )


def sd14(**info: Any) -> IdolPipeline:
    """Preset sd14's parts, CLIP and an AutoencoderKL, of a few channels."""
    torch.manual_seed(0)
    settings = dataclasses.replace(
        MODEL, latent_channels=4, prediction="noise", foreground_dim=16, cross_attention_dim=8
    )
    denoiser = DualModalDenoiser.from_config(settings)
    randomise(denoiser)
    about = {"stage": "video", "preset": "sd14", "size": 64, "frames": FRAMES, "step": 1, **info}
    return IdolPipeline.of(
        denoiser,
        CLIPEncoder(clip()),
        VAECodec.of(vae()),
        ddim_scheduler(),
        ModelInfo(settings=settings, depth=DepthMeaning(), **about),
    )


def small_vae() -> IdolPipeline:
    """`sd14`, with an autoencoder of the packaged model's class."""
    pipe = sd14()
    vae = SmallAutoencoder(3, 4, patch=8, width=8, blocks=1)
    randomise(vae)
    return IdolPipeline(**{**pipe.components, "vae": vae})


def clip() -> CLIPVisionModelWithProjection:
    """CLIP of 16 channels, for images of 28 pixels."""
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=8,
    )
    return CLIPVisionModelWithProjection(config)


def vae() -> AutoencoderKL:
    """An AutoencoderKL of four levels, so that latents are an eighth in size."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        norm_num_groups=2,
        latent_channels=4,
    )


def given(size: int = SIZE, frames: int = FRAMES, seed: int = 0) -> dict[str, Any]:
    """The arguments of a call: uint8 arrays."""
    rng = np.random.default_rng(seed)
    person = np.zeros((size, size), np.uint8)
    person[size // 4 : size // 2, size // 4 : size // 2] = 255
    return {
        "foreground": rng.integers(0, 256, (size, size, 3), np.uint8),
        "background": rng.integers(0, 256, (size, size, 3), np.uint8),
        "poses": rng.integers(0, 256, (frames, size, size, 3), np.uint8),
        "foreground_mask": person,
        "background_mask": person,
    }


def seeded(seed: int = 0) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)
