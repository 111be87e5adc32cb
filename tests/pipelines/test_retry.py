"""`idol-prep retry`: what failed is made again alone; the bytes are as if it never had."""

import json
import os
from pathlib import Path

import pytest

from pipelines.build import build
from pipelines.cli import main
from pipelines.compute import Compute
from pipelines.plan import Plan
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from pipelines.retry import given_densepose, matcher, recall, remember
from preprocess.errors import InputError
from shards.dataset import DatasetInfo
from shards.files.storage import Store
from shards.manifest import Quarantined
from tests.pipelines.conftest import tree
from tests.pipelines.poison import Poisoned, poisoned_plan


class Counting(Reporter):
    count = 0

    def made(self, clips, quarantined):
        self.count += clips


@pytest.mark.parametrize("damaged", [pytest.param(False, marks=pytest.mark.slow), True])
def test_those_alone_are_made_and_the_bytes_are_as_without_a_failure(tmp_path, damaged):
    cured = tmp_path / "cured"
    bad = Poisoned(((5, "raise"), (17, "exit"), (21, "raise")), str(cured))
    plan = poisoned_plan(tmp_path, Poisoned(()), bad)

    def make(out, retry=None):
        counting = Counting()
        made = build(plan, str(out), counting, compute=Compute(workers=0), retry=retry)
        return made, counting.count

    summary, _ = make(tmp_path / "out")
    assert sorted(q.kind for q in summary.quarantined) == ["error", "error", "killed"]
    cured.touch()
    if damaged:  # a shard that is not what its manifest says is made again as a whole
        tar = tmp_path / "out/train/shard-00003.tar"
        data = bytearray(tar.read_bytes())
        data[700] ^= 1
        tar.write_bytes(data)
    summary, made = make(tmp_path / "out", matcher("error"))
    assert [q.kind for q in summary.quarantined] == ["killed"]
    assert made == (4 if damaged else 2)
    summary, made = make(tmp_path / "out", matcher(None))
    assert (summary.quarantined, made) == ((), 1)
    make(tmp_path / "calm")
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


def command(source, out, *more):
    bare = ("--mask", "none", "--pose", "none", "--depth", "none", "--crop", "center")
    return [
        *("build", "--dataset", "videos", "--source", str(source), "--out", str(out), *bare),
        *("--size", "32", "--shots", "off", "--clip-length", "8", "--workers", "0", *more),
    ]


def test_the_command_knows_how_the_dataset_was_built(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out, videos = tmp_path / "out", videos / "deep er"
    assert main(command(videos, out, "--clip-timeout", "1e-9")) == 1
    shown = capsys.readouterr().out
    assert "2 planned = 0 committed + 2 quarantined (2 timeout)" in shown
    assert json.loads((out / "dataset.json").read_text())["totals"]["kinds"] == {"timeout": 2}
    assert main(["retry", str(out), "--reason", "killed"]) == 2
    assert "kinds that are there: timeout" in capsys.readouterr().err
    assert main(["retry", str(out)]) == 1  # with the limit that it was built with
    assert main(["retry", str(out), "--reason", "timeout", "--clip-timeout", "300"]) == 0
    assert "2 planned = 2 committed + 0 quarantined" in capsys.readouterr().out
    assert main(command(videos, tmp_path / "calm")) == 0
    assert tree(out) == tree(tmp_path / "calm")
    assert main(["retry", str(out)]) == 0  # there is nothing left to do
    assert "no clip is quarantined: there is nothing to try again" in capsys.readouterr().err


def test_an_output_whose_name_is_no_text_is_built(videos, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / os.fsdecode(b"a\xff")
    assert main(command(videos / "deep er", out)) == 0


def test_what_the_source_has_gained_since_is_left_for_extend(
    videos, make_video, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out, videos = tmp_path / "out", videos / "deep er"
    assert main(command(videos, tmp_path / "calm")) == 0
    assert main(command(videos, out, "--clip-timeout", "1e-9")) == 1
    make_video(videos / "new.mp4", 20)
    (videos / "broken.mp4").write_bytes(b"broken")
    assert main(["retry", str(out), "--clip-timeout", "300"]) == 0
    assert "2 planned = 2 committed + 0 quarantined" in capsys.readouterr().out
    assert tree(out) == tree(tmp_path / "calm")
    assert main(command(videos, out, "--extend", "--max-quarantine", "1")) == 0
    assert "4 planned = 4 committed" in capsys.readouterr().out


def test_another_user_gives_the_densepose(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "iuv").mkdir()
    iuv = str(tmp_path / "iuv")
    recipe = Recipe("videos", depth=("hdnet",), densepose=iuv)
    told = given_densepose(recipe)
    assert told == {"densepose": "a folder"}
    assert given_densepose(Recipe("videos", depth=("hdnet",))) == {}
    assert given_densepose(Recipe("videos", densepose=iuv)) == {}  # nobody reads it
    store, plain = Store.at(tmp_path / "out"), recipe.as_json({})
    assert recall(store, DatasetInfo(plain), "films").recipe.densepose is None
    info = DatasetInfo(plain, extras=told)
    with pytest.raises(InputError, match=r"was built with lies .*: give --densepose PATH"):
        recall(store, info, "films")
    with pytest.raises(InputError, match=r"lie .*: give --source PATH --densepose PATH"):
        recall(store, info, None)
    program = {"annotators": {"densepose": {}}}
    with pytest.raises(InputError, match="give --densepose PATH"):
        recall(store, DatasetInfo(plain | program), "films")
    found = recall(store, info, "films", iuv)
    assert (found.recipe.densepose, found.source) == (iuv, "films")
    remember(store, Plan(recipe, tmp_path / "films", (), (), {}, (), ()), None, Compute())
    assert recall(store, info, None).recipe.densepose == iuv
    assert recall(store, info, None, "moved").recipe.densepose == "moved"


@pytest.mark.slow
def test_another_user_gives_the_source(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "out"
    assert main(command(videos, out, "--clip-timeout", "1e-9")) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    moved = videos.rename(tmp_path / "moved")
    capsys.readouterr()
    assert main(["retry", str(out)]) == 2
    assert "give --source PATH" in capsys.readouterr().err
    assert main(["retry", str(out), "--source", str(moved), "--workers", "0"]) == 0
    assert main(command(moved, tmp_path / "calm")) == 0
    assert tree(out) == tree(tmp_path / "calm")


def test_a_build_with_relative_paths_is_retried_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    recipe = Recipe("videos", mask="sam3:model", depth=("hf:not/here",), densepose="dens")
    plan = Plan(recipe, Path("source"), (), (), {}, (), ())
    remember(Store.at("out"), plan, None, Compute())
    monkeypatch.chdir(tmp_path / "model")
    found = recall(Store.at(tmp_path / "out"), None, None)
    assert found.source == str(tmp_path / "source")
    assert found.recipe.densepose == str(tmp_path / "dens")
    assert found.recipe.mask == f"sam3:{tmp_path / 'model'}"
    assert found.recipe.depth == ("hf:not/here",)


def test_what_has_not_ended_is_not_retried(run, videos, tmp_path, capsys):
    run(videos, tmp_path / "out")
    next((tmp_path / "out" / "train").glob("*.json")).unlink()
    assert main(["retry", str(tmp_path / "out")]) == 2
    assert "run the build's command again first" in capsys.readouterr().err
    assert main(["retry", str(tmp_path / "nothing")]) == 2


def test_a_reason_is_a_kind_or_a_text():
    clip = Quarantined("k", "v", "MemoryError: no more", "memory")
    assert matcher(None)(clip)
    assert matcher("memory")(clip)
    assert matcher("NO MORE")(clip)
    assert not matcher("timeout")(clip)
    late = Quarantined("k", "v", "took longer than 1800 s (--clip-timeout)", "timeout")
    dead = Quarantined("k", "v", "killed 3 times, as when memory is exhausted", "killed")
    assert matcher("timeout")(late)
    assert matcher("clip-timeout")(late)
    assert not matcher("clip")(late)  # which is another kind
    assert not matcher("Memory")(dead)
