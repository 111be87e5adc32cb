"""Images to latents and back (VAE, patches), and to foreground tokens (CLIP, tiny)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idol.encoders.clip import CLIPEncoder as CLIPEncoder
    from idol.encoders.image_protocol import ImageEncoder as ImageEncoder
    from idol.encoders.patches import PatchCodec as PatchCodec
    from idol.encoders.protocol import LatentCodec as LatentCodec
    from idol.encoders.tiny import TinyEncoder as TinyEncoder
    from idol.encoders.vae import VAECodec as VAECodec

_MODULE_OF = {
    "CLIPEncoder": "idol.encoders.clip",
    "ImageEncoder": "idol.encoders.image_protocol",
    "LatentCodec": "idol.encoders.protocol",
    "PatchCodec": "idol.encoders.patches",
    "TinyEncoder": "idol.encoders.tiny",
    "VAECodec": "idol.encoders.vae",
}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
