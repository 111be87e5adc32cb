"""The registry of external files, for the networks that measure; what it says, in our errors."""

from pathlib import Path

from torch import Tensor

from idol.evaluate.errors import MissingNetwork
from preprocess import weights
from preprocess.annotators.torch.loading import load_state
from preprocess.errors import InputError

__all__ = ["load_tensors", "locate"]


def locate(name: str, folder: Path | None = None) -> tuple[Path, str]:
    """The path of a registered file and its SHA-256.

    Args:
        name: "{group}/{file}".
        folder: of external files; None for $IDOL_WEIGHTS, else the user's cache.

    Raises MissingNetwork, which names the command that fetches it, when it is absent or damaged.
    """
    try:
        weights.require(weights.files(name), folder)
        return weights.locate(name, folder), weights.checksum(name, folder)
    except InputError as error:
        raise MissingNetwork(str(error)) from error


def load_tensors(path: Path, nested: str | None = None) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of one by `torch.save`; no pickled code runs.

    `nested` names the entry that holds them. Raises MissingNetwork naming the file.
    """
    try:
        return load_state(path, nested)
    except InputError as error:
        raise MissingNetwork(str(error)) from error
