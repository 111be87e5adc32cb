"""Images to latents and back (VAE, patches), and to foreground tokens (CLIP, tiny)."""

from idol.encoders.clip import CLIPEncoder
from idol.encoders.protocols import ImageEncoder, LatentCodec, PosteriorCodec
from idol.encoders.small import SmallAutoencoder
from idol.encoders.tiny import PatchCodec, TinyEncoder
from idol.encoders.tokens import CLIP_TOKENS, foreground_tokens
from idol.encoders.vae import VAECodec, VAEModel, load_vae, vae_class

__all__ = [
    "CLIP_TOKENS",
    "CLIPEncoder",
    "ImageEncoder",
    "LatentCodec",
    "PatchCodec",
    "PosteriorCodec",
    "SmallAutoencoder",
    "TinyEncoder",
    "VAECodec",
    "VAEModel",
    "foreground_tokens",
    "load_vae",
    "vae_class",
]
