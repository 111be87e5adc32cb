"""Encoders of the foreground picture: frozen CLIP for the paper's model, a small trained one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from idol.images.clip import CLIPEncoder as CLIPEncoder
    from idol.images.protocol import ImageEncoder as ImageEncoder
    from idol.images.tiny import TinyEncoder as TinyEncoder

_MODULE_OF = {"CLIPEncoder": "clip", "ImageEncoder": "protocol", "TinyEncoder": "tiny"}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
