"""What every command prints through: a console that leaves pipes and codecs no say."""

from rich.console import Console

__all__ = ["QuietConsole", "human_bytes", "human_duration"]

# No one looks at a file in 80 columns: `grep` wants a row, reason and all, on one line.
_WIDE = 1000


class QuietConsole(Console):
    """A rich console that wraps for terminals alone and lets a closed pipe be seen.

    Raises BrokenPipeError when its reader has gone, where rich would exit with code 1.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr)
        if not self.is_terminal:
            self.width = _WIDE

    def on_broken_pipe(self) -> None:
        """Rich calls it while it handles the BrokenPipeError; this one hands it on."""
        raise


def human_bytes(size: float) -> str:
    """A size in bytes as people read it: 1.4 MB (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def human_duration(seconds: float) -> str:
    """A time as people read it: 3 s, 12 min, 5.1 h, 2.3 days."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:.1f} days"
