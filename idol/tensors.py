"""Files of tensors, whose damage and full disks are errors of the file system like any other;
and what is loaded from them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

__all__ = ["into_memory", "naming_damage", "read_tensors", "write_tensors"]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU. Raises OSError if it is absent or damaged."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise _damaged(path, error) from error


@contextmanager
def naming_damage(folder: str | PathLike[str]) -> Iterator[None]:
    """Where loading from a folder, or from those in it, fails by weights that are damaged, raises
    OSError, which names the file and says what to do.

    diffusers says of such that they cannot be loaded, and not why; transformers not of which file.
    """
    try:
        yield
    except (OSError, SafetensorError):
        for pattern in ("*.safetensors", "*/*.safetensors"):
            for weights in sorted(Path(folder).glob(pattern)):
                _check(weights)
        raise


def _check(path: Path) -> None:
    try:
        with safe_open(path, "pt"):
            pass
    except SafetensorError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: SafetensorError) -> OSError:
    return OSError(f"{path} is damaged ({error}): copy, fetch or train it again")


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
