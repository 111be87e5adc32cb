"""Pictures to latents and back: a VAE for the paper's model, patches for the tiny one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idol.codec.patches import PatchCodec as PatchCodec
    from idol.codec.protocol import LatentCodec as LatentCodec
    from idol.codec.vae import VAECodec as VAECodec

_MODULE_OF = {"LatentCodec": "protocol", "PatchCodec": "patches", "VAECodec": "vae"}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
