"""What can be wrong with what a video is to be generated from."""

from idol.errors import IdolError

__all__ = ["CannotRetargetError", "GenerationError"]


class GenerationError(IdolError):
    """What was given cannot be generated from; the message says what is wrong with it."""


class CannotRetargetError(GenerationError):
    """The motion does not fit the person; the message says why."""
