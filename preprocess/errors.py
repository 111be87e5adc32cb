"""The errors that this package raises on purpose."""

__all__ = ["ClipError", "FramesLost", "InputError"]


class InputError(Exception):
    """The user's input cannot be used: the message says what, which file, and what to do."""


class ClipError(Exception):
    """One clip cannot be made; the rest can. The message is the reason shown to the user."""


class FramesLost(ClipError):
    """Several frames of one video cannot be read for one reason: all up to `last`, by index."""

    def __init__(self, message: str, last: int) -> None:
        super().__init__(message)
        self.last = last
