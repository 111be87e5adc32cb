"""How many tokens there are of a foreground, without a network to make them."""

from idol.config.model import DualModalUNetConfig, PresetName
from idol.encoders.tiny import TinyEncoder

__all__ = ["CLIP_TOKENS", "foreground_tokens"]

CLIP_TOKENS = 257  # of ViT-L/14: one of the class, and 16x16 patches


def foreground_tokens(preset: PresetName, settings: DualModalUNetConfig) -> int:
    """Tokens of one foreground image, of any size, as the preset's image encoder makes them."""
    if preset == "tiny":
        return TinyEncoder.tokens(settings.foreground_patch)
    return CLIP_TOKENS
