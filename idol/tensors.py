"""Files of tensors, whose damage and full disks are errors of the file system like any other;
and what is loaded from them."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

__all__ = ["into_memory", "read_tensors", "write_tensors"]


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


def into_memory(module: nn.Module) -> None:
    """Give the parameters and buffers of a module on the CPU memory of their own, in place.

    What is loaded may be a map of its file, which may go while it is used, and where numbers lie
    otherwise than in memory, so that kernels add them up in another order.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()
