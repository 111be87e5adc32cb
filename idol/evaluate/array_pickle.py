"""Reading a pickle that holds numpy arrays in dictionaries, and refusing any other.

A pickle can run any program. Here nothing but two stand-ins of our own can be called: what would
become an array is a record of shape, dtype and bytes, and is made an array only when it adds up.
"""

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from idol.evaluate.errors import EvaluationError

__all__ = ["load_arrays"]

# numpy's module had no underscore before version 2.
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_KINDS = "fiu"
# Of other programs' making, and bytes that are reserved before they are read.
_FORBIDDEN = ("BYTEARRAY8", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER")


def load_arrays(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle: of arrays of numbers, numbers, strings, and such dictionaries.

    Raises EvaluationError, naming the file, when it asks for anything else, or is damaged.
    """
    try:
        data = path.read_bytes()
        _check_operations(data)
        content = _Arrays(io.BytesIO(data)).load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError(f"it holds one {type(content).__name__}")
        return _arrays(content, {})
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:
        # Damaged pickles raise whatever the operations on their half values raise.
        raise EvaluationError(
            f"{path} is no pickle of numpy arrays alone ({error}), and is refused: fetch it again"
        ) from error


def _check_operations(data: bytes) -> None:
    """Refuse what takes memory out of proportion to the file: Python's own reader does not."""
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in _FORBIDDEN:
            raise pickle.UnpicklingError(f"it asks for {operation.name}")
        if "PUT" in operation.name and argument is not None and int(argument) > len(data):
            raise pickle.UnpicklingError(f"it counts up to {argument}")


class _Dtype:
    """Stands in for numpy.dtype."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype:
        found = np.dtype(f"{self.order}{self.code}")
        if found.kind not in _KINDS:
            raise pickle.UnpicklingError(f"an array of {found}")
        return found


class _Array:
    """Stands in for numpy.ndarray."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        _, shape, dtype, by_columns, data = self.state
        kind = dtype.dtype()
        if len(data) != math.prod(shape) * kind.itemsize:
            raise pickle.UnpicklingError(f"{len(data)} bytes for an array of {shape}")
        array = np.frombuffer(data, kind)
        return array.reshape(shape, order="F" if by_columns else "C").copy()


class _Kind:
    """Stands in for the class that numpy hands to its own constructor."""


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in _MODULES and name == "_reconstruct":
            return _Array
        if module == "numpy" and name in ("dtype", "ndarray"):
            return _Dtype if name == "dtype" else _Kind
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _arrays(value: Any, made: dict[int, Any]) -> Any:
    """`made`: by identity what was made already, as a pickle may name one thing many times."""
    if isinstance(value, (dict, _Array)):
        if id(value) not in made:
            made[id(value)] = (
                {str(key): _arrays(inner, made) for key, inner in value.items()}
                if isinstance(value, dict)
                else value.array()
            )
        return made[id(value)]
    if isinstance(value, (int, float, str)):
        return value
    raise pickle.UnpicklingError(f"it holds one {type(value).__name__}")
