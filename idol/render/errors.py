"""What can be wrong with what is to be rendered."""

from idol.errors import IdolError

__all__ = ["RenderError"]


class RenderError(IdolError):
    """What was given cannot be rendered; the message says what is wrong with it."""
