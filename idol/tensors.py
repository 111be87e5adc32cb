"""Files of tensors, whose damage and full disks are errors of the file system like any other."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

__all__ = ["read_tensors", "write_tensors"]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU. Raises OSError if it is absent or damaged."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise OSError(f"{path} is damaged ({error})") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write contiguous tensors as safetensors. Raises OSError if the disk does not take them."""
    try:
        save_file(dict(tensors), path, {"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"cannot write {path}: {error}") from error
