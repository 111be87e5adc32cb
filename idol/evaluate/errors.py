"""What is wrong with what is to be evaluated."""

from idol.errors import IdolError

__all__ = ["EvaluationError", "MissingNetwork"]


class EvaluationError(IdolError):
    """Frames, features or files that cannot be measured; a command prints it and exits with 2."""


class MissingNetwork(EvaluationError):
    """A network's weights are absent or no weights of it: its metrics are not computed.

    The message is the reason, and what to do.
    """
