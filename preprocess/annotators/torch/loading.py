"""Reading a file of weights, whoever wrote it, without ever running what is in it."""

import importlib
import importlib.util
import pickle
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from preprocess.errors import InputError
from preprocess.external_file import what_else
from shards.files.atomic import atomic_file

__all__ = ["import_controlnet_aux", "load_state", "needed_packages", "save_state"]

_ZIP = b"PK\x03\x04"
# The first bytes of a pickle of protocol 2, with which torch wrote before version 1.6.
_PICKLE = b"\x80\x02"
_HEADER_BYTES = 8  # of safetensors: the length of the json that follows, little-endian
_FORBIDDEN = re.compile(r"(?:GLOBAL|Global|global) ([\w.]+)")


def load_state(path: Path, nested: str | None = None) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of one that `torch.save` wrote, on the CPU.

    Nothing is unwrapped by itself: `nested` names the entry that holds the tensors, as "model" in
    {"model": {...}, "epoch": 1}. Files in torch's zip format are mapped, not read, so that what
    is not used costs no memory.

    Raises InputError, which names the file and the way out, when it is absent, cut off, no file
    of weights, one that needs pickled code to run, or one that holds other things than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file of weights at {path}")
    if other := what_else(path):
        raise InputError(f"{path} is {other}: get the file itself and put it there")
    with open(path, "rb") as opened:
        head = opened.read(_HEADER_BYTES + 1)
    if path.suffix == ".safetensors" or head[_HEADER_BYTES:] == b"{":
        return _tensors(_safe(path), path, nested)
    if head.startswith((_ZIP, _PICKLE)):
        return _tensors(_unpickled(path, is_zip=head.startswith(_ZIP)), path, nested)
    raise InputError(f"{path} is no file of weights (neither safetensors nor torch.save)")


def save_state(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors; the file appears only when it is whole.

    Tensors that share memory are written each for itself, as safetensors has to.
    """
    with atomic_file(path) as new:
        save_file({key: value.contiguous().clone() for key, value in state.items()}, new)


def _safe(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is no whole safetensors file ({error}): fetch it again"
        ) from error


def _unpickled(path: Path, *, is_zip: bool) -> Any:
    if is_zip and not zipfile.is_zipfile(path):
        raise InputError(f"{path} is cut off (its end is missing): fetch it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "weights only" in str(error).lower():
            raise _needs_code(path, str(error)) from error
        raise InputError(f"{path} is damaged ({_first_line(error)}): fetch it again") from error
    except MemoryError:
        raise
    except Exception as error:  # damaged pickles raise whatever their half values do
        if "TorchScript" in str(error):
            raise InputError(f"{path} is a TorchScript program, not a file of weights") from error
        raise InputError(f"{path} is damaged ({_first_line(error)}): fetch it again") from error


def _needs_code(path: Path, message: str) -> InputError:
    found = _FORBIDDEN.search(message)
    if not found:
        return InputError(f"{path} is damaged, or no file of weights: fetch it again")
    return InputError(
        f"{path} would run code when it is loaded (it asks for {found.group(1)}), and is refused. "
        f"If you trust who made it, convert it to safetensors once, on a machine that holds "
        f"nothing of value: docs/weights.md shows how. Then use the new file."
    )


def _tensors(content: Any, path: Path, nested: str | None) -> dict[str, Tensor]:
    if nested is not None:
        if not isinstance(content, Mapping) or nested not in content:
            raise InputError(f"{path} has no entry {nested!r}; it has {_described(content)}")
        content = content[nested]
    whole = isinstance(content, Mapping) and bool(content)
    if not whole or not all(isinstance(value, Tensor) for value in content.values()):
        where = f"the entry {nested!r} of {path}" if nested else str(path)
        raise InputError(f"{where} holds more or other things than tensors: {_described(content)}")
    return dict(content)


def _described(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"one {type(content).__name__}"
    odd = [k for k, value in content.items() if not isinstance(value, Tensor)] or list(content)
    listed = ", ".join(f"{key!r} ({type(content[key]).__name__})" for key in odd[:4])
    return listed + (f" and {len(odd) - 4} more" if len(odd) > 4 else "") or "nothing"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
