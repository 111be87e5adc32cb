"""Which font has the characters of a name, and how those are written that no font has."""

from functools import cache
from unicodedata import category

__all__ = ["drawable"]

_OWN = "DejaVu Sans"  # comes with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew and more


def drawable(text: str, *, bold: bool = False) -> tuple[str, tuple[str, ...]]:
    """The text as it can be drawn, and the families of fonts that have its characters.

    Of installed fonts those are taken that are needed. What none of them has is written as in
    Python: `\\u4f60`, instead of a box that says nothing.
    """
    weight = "bold" if bold else "normal"
    missing = frozenset(text) - _own_characters(weight)
    if not missing:
        return text, (_OWN,)
    families = []
    for family, characters in _others(missing):
        families.append(family)
        missing -= characters
    return "".join(_escaped(c) if c in missing else c for c in text), (_OWN, *families)


def _has_glyph(character: str) -> bool:
    """Whether it is something to be seen, or a space; not a control, half a pair, or unassigned."""
    return category(character)[0] != "C" and category(character) not in ("Zl", "Zp")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


@cache
def _own_characters(weight: str) -> frozenset[str]:
    from matplotlib.font_manager import FontProperties, findfont

    path = findfont(FontProperties(family=_OWN, weight=weight))
    return frozenset(c for c in _characters(path) if _has_glyph(c))


@cache
def _others(missing: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    """Installed families, as few as have what they can of the characters, and what each has."""
    import matplotlib
    from matplotlib.font_manager import fontManager

    found = []
    left = frozenset(c for c in missing if _has_glyph(c))
    # Besides its own font matplotlib brings those of formulas, and one of boxes for everything.
    bundled = matplotlib.get_data_path()
    for font in sorted(fontManager.ttflist, key=lambda font: (font.name, font.fname)):
        if left and not font.fname.startswith(bundled) and (has := left & _characters(font.fname)):
            found.append((font.name, has))
            left -= has
    return found


@cache
def _characters(path: str) -> frozenset[str]:
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
        if not font.scalable:  # colour emoji are images of one size
            return frozenset()
        return frozenset(map(chr, font.get_charmap()))
    except (OSError, RuntimeError, ValueError):  # of no format that can be drawn here
        return frozenset()
