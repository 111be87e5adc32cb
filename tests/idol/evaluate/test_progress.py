"""What is printed while clips are generated and scored, where nobody looks on."""

from __future__ import annotations

import pytest

from idol.evaluate.progress import progress


def test_a_line_every_ten_seconds_and_the_first_and_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    with progress(clock=lambda: now) as told:
        for done in range(8):
            told("generated", done, 7)
            now += 4.0
        told("scored", 1, 2)
        told("scored", 2, 2)
    assert capsys.readouterr().err.splitlines() == [
        "generated: 0 of 7 clips, 0 s",
        "generated: 3 of 7 clips, 12 s",
        "generated: 6 of 7 clips, 24 s",
        "generated: 7 of 7 clips, 28 s",
        "scored: 1 of 2 clips, 0 s",
        "scored: 2 of 2 clips, 0 s",
    ]
