"""What all errors of this package that are meant for a user have in common."""

from __future__ import annotations

__all__ = ["IdolError"]


class IdolError(Exception):
    """What happened, to what, and what to do; a command prints it and exits."""
