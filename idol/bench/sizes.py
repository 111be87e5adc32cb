"""How large the clips are of which `idol-bench` and bench/ tell the cost."""

from idol.config.model import PresetName

__all__ = ["SIZES"]

# Latent sizes: 256x256 pixels through the VAE, and 64x64 pixels in 4x4 patches.
SIZES: dict[PresetName, int] = {"sd14": 32, "tiny": 16}
