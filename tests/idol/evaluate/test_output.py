"""A result's folder: whole, of one process at a time, and not over another result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idol.config.evaluate import ScoreConfig
from idol.evaluate.compare import _features
from idol.evaluate.errors import EvaluationError
from idol.evaluate.output import OutInUse, features_folder
from shards.files.digest import sha256_file


def config(out: Path, **settings: Any) -> ScoreConfig:
    given = {"generated": "ours", "reference": "truth", "protocol": "clean-8", **settings}
    return ScoreConfig(out=out, **given)


def there(out: Path) -> None:
    sides = {"generated": {"path": "ours"}, "reference": {"path": "truth"}}
    scores = {"schema": 1, "protocol": {"name": "clean-8"}, **sides}
    (out / "scores.json").write_text(json.dumps(scores))


def test_what_fails_leaves_the_features_before(tmp_path: Path) -> None:
    with features_folder(config(tmp_path)) as folder:
        (folder / "fvd.generated.f32").write_text("before")
    folder = (half := features_folder(config(tmp_path))).__enter__()
    (folder / "fvd.generated.f32").write_text("half")
    half.__exit__(RuntimeError, RuntimeError(), None)
    assert [path.name for path in tmp_path.iterdir()] == ["features"]
    assert (tmp_path / "features" / "fvd.generated.f32").read_text() == "before"


@pytest.mark.parametrize("name", ["features/mine.npy", "features", "table.md", "table.tex"])
@pytest.mark.parametrize("scores", [None, "{}"])
def test_what_nothing_says_is_of_scores_is_kept(
    tmp_path: Path, name: str, scores: str | None
) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    if scores:
        (tmp_path / "scores.json").write_text(scores)
    with pytest.raises(EvaluationError, match=r"no scores\.json beside it says .* another --out"):
        features_folder(config(tmp_path, overwrite=True)).__enter__()
    assert file.read_text() == "mine"
    there(tmp_path)
    with features_folder(config(tmp_path)):
        pass


def test_a_second_process_is_told_who_writes(tmp_path: Path) -> None:
    with (
        features_folder(config(tmp_path / "out")),
        pytest.raises(OutInUse, match="out is in use by another idol-eval"),
        features_folder(config(tmp_path / "out")),
    ):
        pass


@pytest.mark.parametrize("option", ["generated", "reference", "protocol"])
def test_scores_of_other_sets_are_replaced_if_asked_to_alone(tmp_path: Path, option: str) -> None:
    there(tmp_path)
    other = config(tmp_path, **{option: "idol-8" if option == "protocol" else "another"})
    with pytest.raises(EvaluationError, match=rf"has the scores of --{option} .*--overwrite"):
        features_folder(other).__enter__()
    with features_folder(config(tmp_path, **{option: "another"}, overwrite=True)):
        pass
    with features_folder(config(tmp_path, generated=str(Path("ours").absolute()))):
        pass  # the same by another path


def test_scores_of_another_split_or_number_of_clips_are_kept(tmp_path: Path) -> None:
    there(tmp_path)
    file = tmp_path / "scores.json"
    settings = {"split": "val", "limit": None}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"settings": settings}))
    for other, said in (
        ({"split": "train"}, "of --split val"),
        ({"split": "val", "limit": 3}, "without --limit"),
    ):
        with pytest.raises(EvaluationError, match=rf"has the scores {said}: .*--overwrite"):
            features_folder(config(tmp_path, **other)).__enter__()
    with features_folder(config(tmp_path, split="val")):
        pass


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 9}', '{"schema": 1, "protocol": 0}'])
def test_damaged_scores_are_replaced_if_asked_to(tmp_path: Path, content: str) -> None:
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(EvaluationError, match=r"scores.json is damaged.*--overwrite"):
        features_folder(config(tmp_path)).__enter__()
    with features_folder(config(tmp_path, overwrite=True)):
        pass


def test_a_file_is_no_folder_for_results(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(EvaluationError, match="out is a file"):
        features_folder(config(tmp_path / "out")).__enter__()


def test_features_of_another_score_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    files = {s: tmp_path / "features" / f"fvd.{s}.f32" for s in ("generated", "reference")}
    for number, file in enumerate(files.values()):
        file.write_bytes(np.full((4, 3), number, np.float32).tobytes())
    said = {
        "features": 3,
        "file": "features/fvd.SIDE.f32",
        "file_sha256": {side: sha256_file(file) for side, file in files.items()},
        "rows": {side: {"v0": 2, "v1": 2} for side in files},
    }
    result = {"name": "ours", "folder": str(tmp_path), "networks": {"fvd": said}}
    _features(result, "fvd")
    files["generated"].write_bytes(files["reference"].read_bytes())
    with pytest.raises(EvaluationError, match=r"fvd\.generated\.f32: is not of the scores\.json"):
        _features(result, "fvd")
