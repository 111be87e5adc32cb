"""Seconds as people read them."""

from __future__ import annotations

__all__ = ["duration"]


def duration(seconds: float) -> str:
    """ "3 s", "12 min", "5.1 h" or "2.3 days"."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:.1f} days"
