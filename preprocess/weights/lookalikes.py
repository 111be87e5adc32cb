"""Files that lie where weights should, and are something else: pages, pointers, nothing."""

from __future__ import annotations

from pathlib import Path

__all__ = ["what_else"]

_LOOK = 512
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html", b"<?xml")


def what_else(path: Path) -> str | None:
    """What a file is that is no content of its own, in words; None for all others."""
    with open(path, "rb") as opened:
        head = opened.read(_LOOK)
    if not head:
        return "empty"
    if head.startswith(_POINTER):
        return "a git-lfs pointer, which names the weights and does not hold them"
    if head.lstrip().lower().startswith(_PAGES):
        return "a web page, not a file of weights (was it saved from a page that asks to log in?)"
    return None
