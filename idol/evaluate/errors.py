"""What is wrong with what is to be evaluated."""

from idol.errors import IdolError

__all__ = ["EvaluationError"]


class EvaluationError(IdolError):
    """Frames, features or files that cannot be measured; a command prints it and exits with 2."""
