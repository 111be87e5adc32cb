"""The two presets: `sd14` is the paper, `tiny` is the same architecture on a laptop."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from idol.config.autoencoder import Latents, latent_factor, read_latents
from idol.config.checks import ConfigError
from idol.config.losses import LossConfig
from idol.config.model import DualModalUNetConfig, PresetName, StageName
from idol.config.patches import PATCH, channels_of, far_of, spread_of
from idol.config.train import DataConfig, OptimizerConfig, ReportConfig, RunConfig, TrainConfig

__all__ = ["defaults", "preset", "with_latents", "with_patches"]

# Stable Diffusion 1.4 with CLIP ViT-L/14 tokens: the defaults of the configuration.
_SD14 = DualModalUNetConfig()

# Latents are RGB patches, so that no VAE is needed: of 4x4 pixels 48 channels, 64x64 are 16x16.
_TINY = DualModalUNetConfig(
    latent_channels=channels_of(PATCH),
    block_out_channels=(64, 64, 64, 64),
    layers_per_block=1,
    attention_heads=2,
    norm_groups=8,
    cross_attention_dim=96,
    foreground_dim=96,
    foreground_patch=8,
    foreground_depth=4,
    pose_downscale=PATCH,
    background_init="zero",
    prediction="change",
    change_spread=spread_of(PATCH),
    far_latent=far_of(PATCH),
)

_PRESETS: dict[PresetName, DualModalUNetConfig] = {"sd14": _SD14, "tiny": _TINY}

# Appendix B: steps and learning rate; clips of a pass in one process (we). Of videos a step has as
# many as the paper's GPUs, on however many it is computed.
_SD14_VIDEO_CLIPS = 32
_SD14_STEPS = {
    "pretrain": (25_000, 1e-3, 16),
    "image": (15_000, 1e-4, 8),
    "video": (15_000, 1e-4, 1),
    "distill": (4000, 8e-6, 1),  # the rate of Luo et al., 2023
    "autoencoder": (10_000, 1e-5, 8),  # fine-tunes the VAE of --base, for LDM3D (we)
}

# Ours: a model this small learns in minutes, from high rates.
_TINY_STEPS = {
    "pretrain": (150, 3e-3, 4),
    "image": (2400, 3e-3, 4),
    "video": (300, 1e-3, 1),
    "distill": (300, 3e-4, 1),
    "autoencoder": (3000, 1e-3, 8),
}
_TARGET_DECAY = 0.95  # of a student's average (Luo et al., 2023)
_TINY_REPORT = ReportConfig(
    checkpoint_every=100,
    validation_clips=4,
    sample_every=700,
    sample_steps=2,
    guidance=1.0,
    gradient_norms_every=50,
)


def preset(name: PresetName) -> DualModalUNetConfig:
    """Return the model's configuration in the preset called `name`.

    Raises:
        ConfigError: there is no such preset; the message lists those there are.
    """
    if name not in _PRESETS:
        raise ConfigError(f"no preset {name!r}: there are {', '.join(_PRESETS)}")
    return _PRESETS[name]


def with_latents(model: DualModalUNetConfig, latents: Latents) -> DualModalUNetConfig:
    """The same model of an autoencoder's latents."""
    return _of_latents(model, latents.spread, latents.far)


def with_patches(model: DualModalUNetConfig, patch: int) -> DualModalUNetConfig:
    """The same model of latents that are patches of so many pixels a side, 4 or 8."""
    return _of_latents(model, spread_of(patch), far_of(patch))


def _of_latents(
    model: DualModalUNetConfig, spread: tuple[float, ...], far: tuple[float, ...]
) -> DualModalUNetConfig:
    return dataclasses.replace(
        model,
        latent_channels=len(far),
        change_spread=spread if model.prediction == "change" else (),
        far_latent=far if model.prediction == "change" else (),
    )


def defaults(
    stage: StageName,
    preset_name: PresetName = "sd14",
    *,
    shards: Sequence[str],
    output: Path,
    model: DualModalUNetConfig | None = None,
    vae: Path | None = None,
    patch: Literal[4, 8] | None = None,
) -> TrainConfig:
    """The configuration of a stage; `dataclasses.replace` changes it and its parts.

    Args:
        shards, output: of the run.
        model: the sizes and switches to train with; default: the preset's, for the latents of
            `vae`.
        vae: of preset tiny, the codec that is to be taken for patches.
        patch: of preset tiny, the side of its patches in pixels; default: as `model` has them.

    Raises:
        ConfigError: naming every mistake.
    """
    tiny, distills = preset_name == "tiny", stage == "distill"
    report = _TINY_REPORT if tiny else ReportConfig()
    if model is None:
        model = preset(preset_name)
        if tiny and vae:
            model = with_latents(model, read_latents(vae))
    if tiny and patch and not vae:
        model = with_patches(model, patch)
    # Of any patches 16x16.
    size = 64 if vae else 16 * latent_factor(preset_name, vae, model.latent_channels)
    steps, learning_rate, batch_size = (_TINY_STEPS if tiny else _SD14_STEPS)[stage]
    run = RunConfig(batch_size=batch_size)
    if stage == "video" and not tiny:
        run = RunConfig(batch_size="auto", clips_per_step=_SD14_VIDEO_CLIPS)
    return TrainConfig(
        stage=stage,
        preset=preset_name,
        vae=vae,
        shards=tuple(shards),
        output=output,
        patch=patch,
        data=DataConfig(size=size, workers=1) if tiny else DataConfig(),
        optimizer=OptimizerConfig(
            steps=steps, learning_rate=learning_rate, ema=_TARGET_DECAY if distills else 0.0
        ),
        run=run,
        report=dataclasses.replace(report, sample_steps=4) if distills else report,
        loss=LossConfig(denoise_error=model.prediction),
        model=model,
    )
