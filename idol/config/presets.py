"""The two model sizes: `sd14` is the paper, `tiny` is the same architecture on a laptop."""

from __future__ import annotations

from typing import Literal

from idol.config.model import DualModalUNetConfig

PresetName = Literal["sd14", "tiny"]

# Stable Diffusion 1.4 with CLIP ViT-L/14 tokens: the defaults of the configuration.
_SD14 = DualModalUNetConfig()

# Latents of 48 channels are 4x4 RGB patches, so that no VAE is needed: 64x64 pixels are 16x16.
# Half of the finest level carries the values of a patch, for `idol.model.fresh`; coarser levels
# know what is where, for which few channels will do.
_TINY = DualModalUNetConfig(
    latent_channels=48,
    block_out_channels=(96, 32, 32, 32),
    layers_per_block=1,
    attention_heads=2,
    norm_groups=8,
    cross_attention_dim=32,
    foreground_dim=32,
    background_init="zero",
    prediction="v",
)

_PRESETS = {"sd14": _SD14, "tiny": _TINY}


def preset(name: PresetName) -> DualModalUNetConfig:
    """Return the configuration called `name`.

    Raises:
        KeyError: there is no such preset; the message lists those there are.
    """
    if name not in _PRESETS:
        raise KeyError(f"no preset {name!r}: there are {', '.join(_PRESETS)}")
    return _PRESETS[name]
