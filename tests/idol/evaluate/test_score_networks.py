"""Frechet distances from the command, with the real I3D and Inception on real footage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.evaluate.cli import main
from idol.evaluate.container import read_video
from tests.idol.evaluate.made import write_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def films(footage: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of 16 frames, as they are, blurred a little and much."""
    root = tmp_path_factory.mktemp("films")
    frames = read_video(footage("cam01.mp4"))
    for part in range(3):
        film = [
            cv2.resize(frame, (96, 96), interpolation=cv2.INTER_AREA)
            for frame in frames[30 * part : 30 * part + 16]
        ]
        for blur in (0, 1, 4):
            seen = [cv2.GaussianBlur(f, (0, 0), blur) if blur else f for f in film]
            write_folder(root / str(blur) / f"cam01-part{part}", np.stack(seen))
    return root


def scored(films: Path, blur: int, protocol: str, *metrics: str) -> dict:
    out = films / f"scores-{protocol}-{blur}"
    sides = ["--generated", str(films / str(blur)), "--reference", str(films / "0")]
    given = ["score", *sides, "--protocol", protocol, "--out", str(out), "--pose", "none"]
    assert main([*given, "--cache", str(films / "cache"), "--metrics", *metrics]) == 0
    return json.loads((out / "scores.json").read_text())


def test_distances_are_none_of_the_same_and_grow_with_blur(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {blur: scored(films, blur, "clean-8", "fid", "fvd")["metrics"] for blur in (0, 1, 4)}
    for name in ("fid", "fvd"):
        found = [values[blur][name]["value"] for blur in (0, 1, 4)]
        assert found[0] == pytest.approx(0, abs=1e-3)
        assert found[0] < found[1] < found[2]
        assert values[4][name]["low"] < found[2] < values[4][name]["high"]
    capsys.readouterr()
    folders = [str(films / f"scores-clean-8-{blur}") for blur in (1, 4)]
    assert main(["compare", *folders, "--json"]) == 0
    (difference,) = json.loads(capsys.readouterr().out)["differences"]
    found = difference["metrics"]["fvd"]
    wanted = values[4]["fvd"]["value"] - values[1]["fvd"]["value"]
    assert found["value"] == pytest.approx(wanted, rel=1e-6)
    assert found["low"] < found["value"] < found["high"]
    # From the cache, to the byte.
    before = (films / "scores-clean-8-4" / "scores.json").read_bytes()
    scored(films, 4, "clean-8", "fid", "fvd")
    assert (films / "scores-clean-8-4" / "scores.json").read_bytes() == before


def test_every_protocol_gives_a_number_of_its_own(films: Path) -> None:
    found = {
        name: scored(films, 1, name, "fid", "fvd")
        for name in ("clean-8", "idol-8", "disco-image-16")
    }
    assert len({round(one["metrics"]["fvd"]["value"], 3) for one in found.values()}) == 3
    seen = {name: one["counts"]["seen_by_networks"] for name, one in found.items()}
    assert seen == {
        "clean-8": {"fid": 48, "fvd": 6},
        "idol-8": {"fid": 3, "fvd": 3},
        "disco-image-16": {"fid": 48, "fvd": 3},
    }
