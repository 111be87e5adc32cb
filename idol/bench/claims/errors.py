"""What claims cannot do."""

from idol.errors import IdolError

__all__ = ["ClaimsError"]


class ClaimsError(IdolError):
    """A command of a row failed, and its log says why; or what is there was made otherwise."""
