"""External files that generation uses: found in the registry of `preprocess`."""

from pathlib import Path

from idol.generate.errors import GenerationError
from preprocess import weights
from preprocess.errors import InputError

__all__ = ["external_file"]


def external_file(name: str) -> Path:
    """The path of a registered file, `GROUP/FILE`, whose checksum is right.

    Raises GenerationError naming the file, where it belongs, and the command that fetches it.
    """
    try:
        weights.require(weights.files(name))
        return weights.locate(name)
    except InputError as error:
        raise GenerationError(str(error)) from error
