"""The two errors that this package raises on purpose."""

__all__ = ["ClipError", "InputError"]


class InputError(Exception):
    """The user's input cannot be used: the message says what, which file, and what to do."""


class ClipError(Exception):
    """One clip cannot be made; the rest can. The message is the reason shown to the user."""
