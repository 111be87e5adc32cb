"""The two presets: `sd14` is the paper, `tiny` is the same architecture on a laptop."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from idol.config.autoencoder import Latents, read_latents
from idol.config.checks import ConfigError
from idol.config.losses import LossConfig
from idol.config.model import DualModalUNetConfig, PresetName, StageName
from idol.config.train import DataConfig, OptimizerConfig, ReportConfig, RunConfig, TrainConfig

__all__ = ["defaults", "preset", "with_latents"]

# Stable Diffusion 1.4 with CLIP ViT-L/14 tokens: the defaults of the configuration.
_SD14 = DualModalUNetConfig()

# In each channel of `idol.encoders.PatchCodec` (16 of lightness, 16 and 16 of two differences of
# colours) the root mean square of frames minus background and depth minus white, over the demo's
# training clips.
_SPREAD = (
    *(1.99, 0.738, 0.347, 0.175, 0.463, 0.308, 0.198, 0.122),
    *(0.216, 0.16, 0.122, 0.0892, 0.103, 0.0871, 0.0732, 0.0622),
    *(0.782, 0.32, 0.155, 0.0776, 0.184, 0.129, 0.0853, 0.0558),
    *(0.0883, 0.0666, 0.0506, 0.0394, 0.0405, 0.0356, 0.0305, 0.0262),
    *(0.395, 0.156, 0.0751, 0.0377, 0.091, 0.0625, 0.0407, 0.0267),
    *(0.0421, 0.0323, 0.0248, 0.0192, 0.0199, 0.0176, 0.0152, 0.0132),
)

# Latents of 48 channels are 4x4 RGB patches, so that no VAE is needed: 64x64 pixels are 16x16.
_TINY = DualModalUNetConfig(
    latent_channels=48,
    block_out_channels=(64, 64, 64, 64),
    layers_per_block=1,
    attention_heads=2,
    norm_groups=8,
    cross_attention_dim=96,
    foreground_dim=96,
    foreground_patch=8,
    foreground_depth=4,
    pose_downscale=4,
    background_init="zero",
    prediction="change",
    change_spread=_SPREAD,
    far_latent=(48**0.5, *(0.0,) * 47),  # white
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
    """The same model of other latents: channels, spread of the change, the farthest depth."""
    return dataclasses.replace(
        model,
        latent_channels=len(latents.far),
        change_spread=latents.spread if model.prediction == "change" else (),
        far_latent=latents.far if model.prediction == "change" else (),
    )


def defaults(
    stage: StageName,
    preset_name: PresetName = "sd14",
    *,
    shards: Sequence[str],
    output: Path,
    model: DualModalUNetConfig | None = None,
    vae: Path | None = None,
) -> TrainConfig:
    """The configuration of a stage; `dataclasses.replace` changes it and its parts.

    Args:
        shards, output: of the run.
        model: the sizes and switches to train with; default: the preset's, for the latents of
            `vae`.
        vae: of preset tiny, the codec that is to be taken for patches.

    Raises:
        ConfigError: naming every mistake.
    """
    tiny, distills = preset_name == "tiny", stage == "distill"
    report = _TINY_REPORT if tiny else ReportConfig()
    if model is None:
        model = preset(preset_name)
        if tiny and vae:
            model = with_latents(model, read_latents(vae))
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
        data=DataConfig(size=64, workers=1) if tiny else DataConfig(),
        optimizer=OptimizerConfig(
            steps=steps, learning_rate=learning_rate, ema=_TARGET_DECAY if distills else 0.0
        ),
        run=run,
        report=dataclasses.replace(report, sample_steps=4) if distills else report,
        loss=LossConfig(denoise_error=model.prediction),
        model=model,
    )
