"""Results that come into documents: between two marks, and nowhere else."""

from __future__ import annotations

__all__ = ["marks", "written_between"]


def marks(name: str) -> tuple[str, str]:
    """The lines before and after what `name` writes into a document."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def written_between(document: str, name: str, text: str) -> str:
    """A document with `text` between the marks of `name`.

    Raises:
        ValueError: it has not both marks, once each.
    """
    begin, end = marks(name)
    if document.count(begin) != 1 or document.count(end) != 1:
        raise ValueError(f"the document needs {begin} and {end}, once each")
    before, rest = document.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"
