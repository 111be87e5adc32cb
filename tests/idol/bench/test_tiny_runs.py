"""`bench/tiny_runs.py`: settings that could not be kept are refused before anything is trained."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from idol.config.checks import ConfigError
from idol.errors import IdolError
from idol.model_info import NotAModelError

BENCH = Path(__file__).parents[3] / "bench"


@pytest.fixture
def tiny_runs(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("tiny_runs")


@pytest.mark.parametrize(
    ("settings", "said", "kind"),
    [
        ([{"name": "old"}], "old is there", ConfigError),
        ([{"name": "a"}, {"name": "a", "seed": 1}], "a is named twice", ConfigError),
        ([{"name": "a", "step": 3, "rate": 1}], "a has unknown fields: rate, step", ConfigError),
        ([{"seed": 1}], "setting 0 needs a name", ConfigError),
        ([{"name": "a/b"}], "setting 0 needs a name", ConfigError),
        ([{"name": "a", "init_from": "a"}], "a would begin with its own end", ConfigError),
        (
            [{"name": "a", "init_from": "b"}, {"name": "b", "init_from": "a"}],
            "a would begin.*\n.*b would begin",
            ConfigError,
        ),
        ([{"name": "a", "init_from": "absent"}], "absent holds no trained model", NotAModelError),
        ([{"name": "a", "vae": "absent"}], "absent", ConfigError),
        ([{"name": "a", "model": {"background_hole": "filled"}}], "a is of filled", ConfigError),
        ([{"name": "a", "model": {"posed_foreground": True}}], "a has a posed", ConfigError),
        ({"name": "a"}, "must be a list of objects", ConfigError),
    ],
)
def test_settings_that_would_end_badly_are_refused_first(
    tiny_runs: Any, tmp_path: Path, settings: Any, said: str, kind: type[IdolError]
) -> None:
    (tmp_path / "out/old").mkdir(parents=True)
    (tmp_path / "runs.json").write_text(json.dumps(settings))
    command = [str(tmp_path / "runs.json"), "--shards", "absent", "--val", "absent"]
    with pytest.raises(kind, match=said):
        tiny_runs.main([*command, "--out", str(tmp_path / "out")])


def test_settings_may_go_on_from_each_other(tiny_runs: Any, tmp_path: Path) -> None:
    listed = json.loads((BENCH / "tiny_runs.json").read_bytes())
    found = tiny_runs.settings_in(BENCH / "tiny_runs.json", tmp_path)
    assert [setting.name for setting in found] == [values["name"] for values in listed]
    assert any(setting.init_from for setting in found)
