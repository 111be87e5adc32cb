"""`idol.json`: what another version wrote is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idol.config import preset
from idol.model_info import (
    FILE,
    ModelInfo,
    NotAModelError,
    average_beside,
    model_digest,
    read_info,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    info = ModelInfo(
        stage="video", preset="tiny", settings=preset("tiny"), size=64, frames=8, step=3
    )
    (tmp_path / FILE).write_text(json.dumps(info.as_json()))
    return tmp_path


def test_it_is_read_as_written(folder: Path) -> None:
    info = read_info(folder)
    assert (info.stage, info.preset, info.step) == ("video", "tiny", 3)
    assert info.settings == preset("tiny")


@pytest.mark.parametrize(("change", "when"), [(-1, "an older"), (1, "a newer")])
def test_another_version_is_refused_by_name(folder: Path, change: int, when: str) -> None:
    values = json.loads((folder / FILE).read_bytes())
    values["format"] += change
    (folder / FILE).write_text(json.dumps(values))
    with pytest.raises(NotAModelError) as refused:
        read_info(folder)
    assert str(refused.value).startswith(f"{folder / FILE} was written by {when} version (format ")
    assert "train that model again" in str(refused.value)


def test_averaged_weights_beside_a_checkpoints_model_are_part_of_what_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "step-00000002" / "model"
    model.mkdir(parents=True)
    (folder / FILE).rename(model / FILE)
    assert average_beside(model) is None
    without = model_digest(model)
    average = model.parent / "average.safetensors"
    average.write_bytes(b"weights")
    assert average_beside(model) == average
    assert model_digest(model) != without
    monkeypatch.chdir(model)
    assert average_beside(".") == average


@pytest.mark.parametrize("wrong", [{"variant": [1]}, {"vae": 3}, {"size": "x"}, {"stage": None}])
def test_what_is_of_another_kind_is_damage(wrong: dict[str, Any], folder: Path) -> None:
    content = json.loads((folder / FILE).read_bytes())
    (folder / FILE).write_text(json.dumps(content | wrong))
    [(name, value)] = wrong.items()
    with pytest.raises(NotAModelError, match=rf"is damaged: {name} is ") as refused:
        read_info(folder)
    assert str(refused.value).endswith(repr(value))
