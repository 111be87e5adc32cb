"""What all errors of this package that are meant for a user have in common."""

from collections.abc import Sequence

__all__ = ["IdolError", "first_line"]


class IdolError(Exception):
    """What happened, to what, and what to do; a command prints it and exits."""

    @classmethod
    def raise_if_any(cls, mistakes: Sequence[str], what: str) -> None:
        """Raise this error with a list of all mistakes, if there are any."""
        if mistakes:
            raise cls("\n  ".join((f"{what}:", *mistakes)))


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
