"""What preprocessing complains of, as an error of generation."""

from collections.abc import Iterator
from contextlib import contextmanager

from idol.generate.errors import GenerationError
from preprocess.errors import ClipError, InputError

__all__ = ["as_generation_errors"]


@contextmanager
def as_generation_errors() -> Iterator[None]:
    """Raises GenerationError with the message of a ClipError or InputError."""
    try:
        yield
    except (ClipError, InputError) as error:
        raise GenerationError(str(error)) from error
