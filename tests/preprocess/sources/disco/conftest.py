"""TSV files in DisCo's form."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest


@pytest.fixture
def write_tsv() -> Callable[..., Path]:
    """write_tsv(path, rows, lineidx=True, end="\\n"): bytes in a row are written as base64."""

    def write(path: Path, rows: Iterable[tuple], *, lineidx: bool = True, end: str = "\n") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        offsets = []
        with open(path, "wb") as opened:
            for row in rows:
                offsets.append(opened.tell())
                columns = [
                    base64.b64encode(c) if isinstance(c, bytes) else str(c).encode() for c in row
                ]
                opened.write(b"\t".join(columns) + end.encode())
        if lineidx:
            path.with_suffix(".lineidx").write_text("".join(f"{o}\n" for o in offsets))
        return path

    return write
