"""Key points and depth of frames that are measured; what is wrong with it, in our errors."""

from pathlib import Path

from idol.evaluate.errors import EvaluationError, MissingNetwork
from idol.generate.inputs.estimate import Estimator
from preprocess.errors import InputError

__all__ = ["estimator"]


def estimator(pose: str, depth: str, *, root: Path | None, device: str) -> Estimator:
    """As `Estimator`.

    Raises:
        EvaluationError: an unknown name.
        MissingNetwork: files or packages are absent.
    """
    try:
        return Estimator(pose, depth, root=root, device=device)
    except InputError as error:
        raise MissingNetwork(str(error)) from error
    except ValueError as error:
        raise EvaluationError(str(error)) from error
