"""Packages that only the paper's annotators need, imported when one of those is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from preprocess.errors import InputError

__all__ = ["import_controlnet_aux", "needed_packages"]


@contextmanager
def needed_packages(annotator: str) -> Iterator[None]:
    """Imports within: an absent package becomes an InputError that says how to get it."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"{annotator} needs the package {error.name or error}, which is not installed: "
            f"run `make install-paper`"
        ) from error


def import_controlnet_aux(*names: str) -> list[ModuleType]:
    """The modules `controlnet_aux.NAME`, without running the packages' own `__init__` files.

    Those import every detector: ten seconds, a crash beside mediapipe 1.x, timm's tiny_vit models
    replaced, an environment variable set. Nothing of that is needed for the networks.
    Raises ImportError as `import` does.
    """
    modules = []
    bare: list[str] = []
    try:
        for name in (f"controlnet_aux.{name}" for name in names):
            parents = name.split(".")[:-1]
            for depth in range(1, len(parents) + 1):
                parent = ".".join(parents[:depth])
                if parent not in sys.modules:
                    sys.modules[parent] = _without_init(parent)
                    bare.append(parent)
            modules.append(importlib.import_module(name))
    finally:
        # So that an `import controlnet_aux` elsewhere still gets the real package.
        for parent in bare:
            del sys.modules[parent]
    return modules


def _without_init(package: str) -> ModuleType:
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return importlib.util.module_from_spec(spec)
