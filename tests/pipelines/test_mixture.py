"""Several sources in one recipe: a dataset for each, and their weights beside them."""

import json
import shutil

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.status import statuses
from tests.conftest import numbered_frame
from tests.pipelines.conftest import tree

MIX = """
mask: none
pose: none
depth: none
crop: center
size: 32
clip_length: 1
val_fraction: 0
sources:
  - {name: photos, dataset: images, path: images, weight: 3}
  - {name: films, dataset: videos, weight: 1, stride: 5, size: 48}
"""


@pytest.fixture
def mixture(tmp_path, make_video, write_image):
    for i in range(4):
        write_image(tmp_path / "images" / f"{i}.png", numbered_frame(i))
    make_video(tmp_path / "films" / "a.mp4", 20)
    (tmp_path / "mix.yaml").write_text(MIX)
    return tmp_path


def build(folder, *more):
    return main(
        ["build", "--recipe", str(folder / "mix.yaml"), "--out", str(folder / "out"), *more]
        + ["--workers", "0"]
    )


def test_each_source_is_a_dataset_of_its_own(mixture):
    assert build(mixture, "--source", f"films={mixture / 'films'}") == 0
    mix = json.loads((mixture / "out" / "mix.json").read_text())
    assert mix == {
        "schema": 1,
        "paths": [{"path": "photos", "weight": 3.0}, {"path": "films", "weight": 1.0}],
    }
    built = {
        name: json.loads((mixture / "out" / name / "dataset.json").read_text())
        for name in ("photos", "films")
    }
    assert {name: info["totals"]["clips"] for name, info in built.items()} == {
        "photos": 4,
        "films": 4,
    }
    assert [built[n]["recipe"]["size"] for n in ("photos", "films")] == [32, 48]
    before = tree(mixture / "out")
    assert build(mixture, "--source", f"films={mixture / 'films'}") == 0
    assert tree(mixture / "out") == before


def test_the_command_line_goes_before_every_source(mixture):
    assert build(mixture, "--source", f"films={mixture / 'films'}", "--size", "64") == 0
    for name in ("photos", "films"):
        recipe = json.loads((mixture / "out" / name / "dataset.json").read_text())["recipe"]
        assert recipe["size"] == 64


def test_a_dry_run_shows_all_and_writes_nothing(mixture, capsys):
    assert build(mixture, "--source", f"films={mixture / 'films'}", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "photos, 75.0% of the mixture" in shown
    assert "films, 25.0% of the mixture" in shown
    assert not (mixture / "out").exists()


def test_what_is_missing_is_said_before_anything_is_built(mixture, capsys):
    assert build(mixture, "--source", "film=x", "--source", f"photos={mixture / 'gone'}") == 2
    error = capsys.readouterr().err
    assert "--source film=x is not NAME=PATH with one of photos, films" in error
    assert "no path for films: give --source films=PATH" in error
    assert "gone does not exist" in error
    assert build(mixture, "--source", f"films={mixture / 'films'}", "--dataset", "images") == 2
    assert "each source of" in capsys.readouterr().err
    assert not (mixture / "out").exists()


def test_what_a_later_source_lacks_is_said_before_an_earlier_one_is_built(
    mixture, capsys, monkeypatch
):
    monkeypatch.setenv("IDOL_WEIGHTS", str(mixture / "no-weights"))
    lacking = MIX.replace("size: 48", "depth: midas").replace("weight: 3", "weight: 3, size: 64")
    (mixture / "mix.yaml").write_text(lacking)
    (mixture / "out" / "photos").mkdir(parents=True)
    (mixture / "out" / "photos" / "notes.txt").write_text("mine")
    before = tree(mixture)
    assert build(mixture, "--source", f"films={mixture / 'films'}") == 2
    error = capsys.readouterr().err
    assert "photos: " in error  # which is not empty
    assert "notes.txt" in error
    assert "films: " in error
    assert "idol-prep weights fetch" in error
    assert tree(mixture) == before


def test_a_source_that_is_given_twice_is_refused(mixture, capsys):
    films = mixture / "films"
    assert build(mixture, "--source", f"films={films}", "--source", f"films={mixture}") == 2
    assert f"--source films={mixture}: films was given before" in capsys.readouterr().err
    assert not (mixture / "out").exists()


def test_a_mixture_whose_last_source_was_never_begun_is_not_whole(mixture, capsys):
    out = mixture / "out"
    assert build(mixture, "--source", f"films={mixture / 'films'}") == 0
    assert main(["status", str(out)]) == 0
    shutil.rmtree(out / "films")
    (out / "mix.json").unlink()
    capsys.readouterr()
    assert main(["status", str(out)]) == 1
    assert "there is no mix.json" in capsys.readouterr().err
    assert main(["retry", str(out)]) == 2
    assert "there is no mix.json" in capsys.readouterr().err
    assert main(["status", str(out / "photos")]) == 0


@pytest.mark.slow
def test_a_mixture_that_moved_is_retried_by_the_names_of_its_sources(mixture, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(mixture / "cache"))
    late = ("--source", f"films={mixture / 'films'}", "--clip-timeout", "1e-9")
    assert build(mixture, *late) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(mixture / "another"))
    out, moved = mixture / "out", mixture / "moved"
    moved.mkdir()
    for name in ("images", "films"):
        (mixture / name).rename(moved / name)
    before = tree(out)

    def retry(of, *more):
        capsys.readouterr()
        code = main(["retry", str(of), *more, "--workers", "0", "--clip-timeout", "300"])
        return code, capsys.readouterr().err

    code, error = retry(out, "--source", f"photos={moved / 'images'}")
    assert code == 2
    assert "give --source films=PATH" in error
    code, error = retry(out, "--source", str(moved / "images"))
    assert code == 2
    assert "is not NAME=PATH with one of films, photos" in error
    assert f"`idol-prep retry {out}/films`" in error
    code, error = retry(out, "--source", f"films={moved / 'gone'}", "--source", "photos=")
    assert code == 2
    assert "gone does not exist" in error
    assert "--source photos= names no folder" in error
    assert tree(out) == before
    assert retry(out / "films", "--source", str(moved / "films"))[0] == 0
    assert retry(out, "--source", str(moved / "images"))[0] == 0  # that of photos alone is left
    assert not any(dataset.clips_quarantined for dataset in statuses(str(out)))


@pytest.mark.slow
def test_all_sources_of_a_mixture_are_retried_at_once(mixture, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(mixture / "cache"))
    films = ("--source", f"films={mixture / 'films'}")
    assert build(mixture, *films, "--clip-timeout", "1e-9") == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(mixture / "another"))
    more = (*films, "--source", f"photos={mixture / 'images'}", "--workers", "0")
    assert main(["retry", str(mixture / "out"), *more]) == 0
    assert main(["retry", str(mixture / "out")]) == 0


def test_failures_of_all_sources_count_and_the_mixture_is_whole(mixture, capsys):
    (mixture / "images" / "2.png").write_bytes(np.random.default_rng(0).bytes(100))
    assert build(mixture, "--source", f"films={mixture / 'films'}") == 1
    assert "1 clips or files could not be used" in " ".join(capsys.readouterr().out.split())
    assert (mixture / "out" / "mix.json").is_file()


def test_a_mixture_and_its_recipe_are_the_same(mixture, capsys):
    assert build(mixture, "--source", f"films={mixture / 'films'}") == 0
    capsys.readouterr()
    pair = [str(mixture / "mix.yaml"), str(mixture / "out")]
    assert main(["recipe", "diff", *pair]) == 0
    (mixture / "mix.yaml").write_text(MIX.replace("weight: 3", "weight: 2"))
    assert main(["recipe", "diff", *pair]) == 1
    assert "sources.photos.weight: 2.0 | 3.0" in capsys.readouterr().out
