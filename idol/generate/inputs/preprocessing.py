"""What generation has of `preprocess`: registered files, and complaints as errors of generation."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idol.generate.errors import GenerationError
from preprocess import weights
from preprocess.errors import ClipError, InputError

__all__ = ["as_generation_errors", "external_file"]


@contextmanager
def as_generation_errors() -> Iterator[None]:
    """Raises GenerationError with the message of a ClipError or InputError."""
    try:
        yield
    except (ClipError, InputError) as error:
        raise GenerationError(str(error)) from error


def external_file(name: str, root: Path | None = None) -> Path:
    """The path of a registered file, `GROUP/FILE`, whose checksum is right; `root` as of
    `preprocess.load.load`.

    Raises GenerationError naming the file, where it belongs, and the command that fetches it.
    """
    with as_generation_errors():
        weights.require(weights.files(name), root)
        return weights.locate(name, root)
