"""Protocols are frozen: a file that says something else is refused."""

from __future__ import annotations

import json

import pytest

from idol.evaluate.cli import main
from idol.evaluate.protocols import NAMES, protocol


@pytest.mark.parametrize("name", NAMES)
def test_each_protocol_reads_and_has_its_own_hash(name: str) -> None:
    assert protocol(name).name == name
    assert len({protocol(each).hash for each in NAMES}) == len(NAMES)


def test_the_two_temporal_protocols_differ_in_length_alone() -> None:
    ours, theirs = protocol("idol-8"), protocol("disco-tm-16")
    assert (ours.snippets.frames, theirs.snippets.frames) == (8, 16)
    assert ours.snippets.container == theirs.snippets.container
    assert (ours.images, ours.fid, ours.fvd) == (theirs.images, theirs.fid, theirs.fvd)


def test_the_command_prints_what_a_protocol_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["protocols", "clean-8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["snippets"]["steps"] == [8, 1]
    assert main(["protocols", "clean-9"]) == 2
    assert "there are: clean-8, idol-8" in capsys.readouterr().err
