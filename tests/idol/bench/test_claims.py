"""The claims' experiment at a scale of seconds, and the words for what it says."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from idol.bench.claims.commands import Commands, Step
from idol.bench.claims.errors import ClaimsError
from idol.bench.claims.finished import check_trained
from idol.bench.claims.page import page_of
from idol.bench.claims.report import NAME, _written, asked, compared, made, verdict
from idol.bench.claims.rows import DETAILS, HEADLINE, SYSTEMS, rows_of, variant_of
from idol.bench.claims.runs import _grid, _plan, shards_of, trained_alike
from idol.bench.marked import marks, written_between
from idol.config import ConfigError
from idol.config.claims import ClaimsConfig
from idol.evaluate.errors import EvaluationError
from idol.evaluate.metrics import METRICS
from idol.model_info import NotAModelError
from idol.train.cli import parse
from idol.train.resume import described, shards_digest, write_config
from idol.variants import VARIANTS
from shards.mix import open_mixture
from tests.idol.evaluate.made import SIZE, dataset, shard_clip
from tests.idol.train.micro import MODEL, write_shards


def results(*values: dict[str, float]) -> list[dict[str, Any]]:
    return [{"videos": {v: {"depth_rmse": x} for v, x in seed.items()}} for seed in values]


def test_differences_are_paired_by_seed_and_video() -> None:
    first = results({"a": 1.0, "b": 5.0, "c": 2.0}, {"a": 2.0, "b": 7.0})
    other = results({"b": 4.0, "a": 0.5, "c": 0.0}, {"b": 6.5, "a": 1.0, "c": 9.0})
    found = compared(first, other, "depth_rmse")
    assert found is not None
    # c is not in all results; a: -.5 and -1, b: -1 and -.5.
    assert found["over_videos"]["videos"] == 2
    assert found["over_videos"]["value"] == pytest.approx(-0.75)
    assert found["over_seeds"]["value"] == pytest.approx(-0.75)
    assert compared(first, other, "akd") is None


def test_differences_of_ratios_count_by_their_denominators() -> None:
    def motion(**values: tuple[float, float]) -> dict[str, Any]:
        names = ("motion", "motion_truth")
        return {"videos": {v: dict(zip(names, x, strict=True)) for v, x in values.items()}}

    first, other = motion(a=(9.0, 0.1), b=(0.5, 1.9)), motion(a=(1.0, 0.1), b=(0.6, 1.9))
    found = compared([first], [other], "motion")
    assert found is not None
    expected = (-8.0 * 0.1 + 0.1 * 1.9) / 2.0
    assert found["over_videos"]["value"] == pytest.approx(expected)
    assert found["over_seeds"]["value"] == pytest.approx(expected)
    still = motion(a=(1.0, 0.0), b=(2.0, 0.0))
    assert compared([still], [still], "motion") is None


@pytest.mark.parametrize(
    ("videos", "seeds", "better", "word"),
    [
        ((-2.0, -1.0), (-3.0, -0.5), "lower", "shown"),
        ((-2.0, -1.0), (-3.0, 0.5), "lower", "not shown"),
        ((-2.0, 0.0), (-3.0, -0.5), "lower", "not shown"),
        ((1.0, 2.0), (1.0, 2.0), "lower", "shown to be worse"),
        ((1.0, 2.0), (1.0, 2.0), "higher", "shown"),
        ((1.0, 2.0), (None, None), "higher", "not shown"),
        ((-2.0, -1.0), (1.0, 2.0), "lower", "not shown"),
    ],
)
def test_a_claim_needs_both_intervals(videos: Any, seeds: Any, better: str, word: str) -> None:
    found: dict[str, dict[str, Any]] = {
        name: dict(zip(("low", "high"), ends, strict=True))
        for name, ends in (("over_videos", videos), ("over_seeds", seeds))
    }
    found["over_videos"]["videos"] = 16
    assert verdict(found, better, judged=True, of_videos=32) == word
    assert verdict(found, better, judged=True, of_videos=33) == "too few videos"
    assert verdict(found, better, judged=False, of_videos=32) == "not judged"


def test_rows_are_variants_and_add_one_thing_after_another() -> None:
    assert len(rows_of(HEADLINE)) == 5
    assert set(rows_of(HEADLINE + DETAILS)) <= VARIANTS.keys()
    assert {variant_of(row) for row in rows_of(SYSTEMS)} == {
        "disco", "ldm3d", "mm-diffusion", "idol",
        "animatediff", "dwpose-animatediff", "dwpose-animatediff-t2i",
    }  # fmt: skip
    for before, after in pairwise(HEADLINE):
        assert before.other == after.first


def test_rows_learn_from_skeletons_as_their_variants_say(tmp_path: Path) -> None:
    config = ClaimsConfig(shards=tmp_path / "a", dwpose_shards=tmp_path / "b", out=tmp_path)
    of = {row: shards_of(config, row).name for row in rows_of(HEADLINE + DETAILS + SYSTEMS)}
    assert {row for row, name in of.items() if name == "b"} == {
        "dwpose-animatediff@autoencoder", "dwpose-animatediff-t2i@autoencoder",
    }  # fmt: skip
    with pytest.raises(ClaimsError, match="row dwpose needs --dwpose-shards"):
        shards_of(dataclasses.replace(config, dwpose_shards=None), "dwpose")
    all_rows = dataclasses.replace(config, rows="all")
    assert {p.table for p in asked(all_rows, DETAILS + SYSTEMS)} == {
        "Tab. 1", "Tab. 3", "Tab. 6", "Tab. 8",
    }  # fmt: skip
    without = dataclasses.replace(all_rows, dwpose_shards=None)
    assert {p.table for p in asked(without, SYSTEMS)} == {"Tab. 1"}


def test_one_stage_image_serves_rows_that_differ_by_the_motion_loss_alone() -> None:
    rows = rows_of(HEADLINE + DETAILS + SYSTEMS)
    shared = {row: trained_alike(row) for row in rows if trained_alike(row) != row}
    assert shared == {"idol": "cross-attention-loss"}


def test_each_command_has_a_log_of_its_own(tmp_path: Path) -> None:
    config = ClaimsConfig(
        shards=tmp_path / "a", dwpose_shards=tmp_path / "b", out=tmp_path, grid=(0.1, 1.0)
    )
    plan = _plan(config, rows_of(HEADLINE + DETAILS + SYSTEMS), (0, 1), None)
    assert len(plan.before) > 4  # side by side, and some of them of one seed
    lists = [*plan.before, *plan.images.values(), *plan.videos.values()]
    for steps in (lists, [row for rows in _grid(config) for row in rows]):
        logs = [step.log for row in steps for step in row]
        assert len(logs) == len(set(logs))


def test_rows_that_go_on_with_a_given_model_have_its_weights() -> None:
    alike = {row for row in VARIANTS if VARIANTS["idol"].has_the_weights_of(VARIANTS[row])}
    unused = {"motion-loss", "author-over-frames", "author-compared-layers"}
    assert set(rows_of(HEADLINE[2:] + DETAILS[2:])) | unused == alike


def test_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--seeds must be.*--grid-seeds are not to be reported"):
        ClaimsConfig(shards=tmp_path, out=tmp_path, seeds=(1, 1), grid=(0.1,), grid_seeds=(1,))


@pytest.mark.parametrize(
    ("option", "seeds", "mistake"),
    [
        ("grid_seeds", (), "--grid-seeds must be one or more, each once"),
        ("grid_seeds", (100, 100), "--grid-seeds must be one or more, each once"),
        ("grid_seeds", (-1,), "--grid-seeds must be from 0"),
        ("seeds", (-1,), "--seeds must be from 0"),
    ],
)
def test_seeds_are_some_of_their_own(
    tmp_path: Path, option: str, seeds: tuple[int, ...], mistake: str
) -> None:
    with pytest.raises(ConfigError, match=mistake):
        ClaimsConfig(shards=tmp_path, out=tmp_path, grid=(0.1,), **{option: seeds})


def test_mistakes_are_told_before_anything_is_trained(tmp_path: Path) -> None:
    dataset(tmp_path / "shards", videos=2, clips=1)
    (tmp_path / "page.md").write_text("no marks")
    given: dict[str, Any] = {"shards": tmp_path / "shards", "out": tmp_path / "out"}
    with pytest.raises(ClaimsError, match=r"--write .*page.md: the document needs <!-- idol-bench"):
        made(ClaimsConfig(**given, write=tmp_path / "page.md"))
    with pytest.raises(ClaimsError, match=r"--write .*absent.md: .*No such file"):
        made(ClaimsConfig(**given, write=tmp_path / "absent.md"))
    with pytest.raises(ConfigError, match="--tables 6 is of --rows all: give that"):
        ClaimsConfig(**given, tables=(6,))
    with pytest.raises(ConfigError, match="--tables 3 needs --dwpose-shards"):
        ClaimsConfig(**given, rows="all", tables=(3,))
    with pytest.raises(ConfigError, match=r"--held-out replaces --shards alone"):
        ClaimsConfig(**given, dwpose_shards=given["shards"], held_out=given["shards"])
    write_shards(tmp_path / "no-val", [shard_clip(99, "train")], [])
    with pytest.raises(ClaimsError, match=r"no-val has no split val to score: build it"):
        made(ClaimsConfig(**given, rows="all", tables=(3,), dwpose_shards=tmp_path / "no-val"))
    with pytest.raises(NotAModelError, match="absent holds no trained model"):
        made(ClaimsConfig(**given, start=tmp_path / "absent", held_out=given["shards"]))
    people = Path(__file__).parents[3] / "idol/pretrained/people64"
    with pytest.raises(ClaimsError, match=r"people64 cannot go on as separate-unets"):
        made(ClaimsConfig(**given, start=people, held_out=given["shards"]))
    with pytest.raises(ConfigError, match=r"--train, as .*absent\.json does not exist"):
        made(ClaimsConfig(**given, train=tmp_path / "absent.json"))
    with pytest.raises(EvaluationError, match="nobody"):
        made(ClaimsConfig(**given, pose="nobody"))
    with pytest.raises(ConfigError, match="beauty"):
        made(ClaimsConfig(**given, metrics=("beauty",)))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="--device cuda cannot be used"):
            made(ClaimsConfig(**given, device="cuda"))
    kept = tmp_path / "page.json"
    kept.write_text('{"schema": 1, "pairs": []}')
    page = tmp_path / "page.md"
    page.write_text("\n".join(marks(NAME)))
    with pytest.raises(ClaimsError, match=r"page.json, whose other tables.*schema 1, not 3"):
        made(ClaimsConfig(**given, write=page))
    for grid, metrics, mistake in (
        ((0.1, 0.0), (), "--grid must be above 0"),
        ((0.1, float("nan")), (), "--grid must be above 0"),
        ((0.1, 0.1), (), "each weight once"),
        ((0.1234567, 0.1234568), (), "each weight once, told apart by six digits"),
        ((0.1,), ("psnr",), "--grid chooses by depth_rmse"),
    ):
        with pytest.raises(ConfigError, match=mistake):
            ClaimsConfig(**given, grid=grid, metrics=metrics)
    assert not (tmp_path / "out").exists()


def test_the_document_has_the_marks() -> None:
    page = (Path(__file__).parents[3] / "docs/claims.md").read_text()
    assert "new" in written_between(page, NAME, "new")


def test_make_claims_begins_a_document_of_its_own(tmp_path: Path) -> None:
    recipe = ["make", "-n", "claims", f"CLAIMS={tmp_path}"]
    root = Path(__file__).parents[3]
    told = subprocess.run(recipe, cwd=root, capture_output=True, text=True, check=True).stdout
    document = tmp_path / "claims.md"
    assert f"--write {document} " in told
    (begun,) = (line for line in told.splitlines() if line.startswith("test -f"))
    for _ in range(2):
        subprocess.run(["sh", "-c", begun], check=True)
        assert "new" in written_between(document.read_text(), NAME, "new")


def test_the_document_is_what_its_numbers_say() -> None:
    docs = Path(__file__).parents[3] / "docs"
    tables = json.loads((docs / "claims.json").read_bytes())["tables"]
    document = (docs / "claims.md").read_text()
    assert written_between(document, NAME, page_of(tables)) == document


def table(number: int, **changes: Any) -> dict[str, Any]:
    """One of the document's, with changes."""
    file = Path(__file__).parents[3] / "docs/claims.json"
    found: dict[str, Any] = json.loads(file.read_bytes())["tables"][f"Tab. {number}"]
    return {f"Tab. {number}": found | changes}


def test_a_measure_that_one_weight_of_the_grid_lacks_is_not_computed() -> None:
    one = {"weight": 0.01, "consistency_gradient": 0.1, "depth_rmse": 0.5}
    without, with_it = one, {**one, "weight": 10.0, "akd": 4.0}
    for grid in ([without, with_it], [with_it, without]):
        page = page_of(table(5, grid=grid))
        assert "| weight | share | depth_rmse | akd |" in page
        assert "| 0.01 | 10.00% | 0.5 | not computed |" in page
        assert "| 10 | 10.00% | 0.5 | 4 |" in page


def test_the_page_says_how_many_clips_there_were() -> None:
    assert "32 held-out clips" in page_of(table(5))
    assert "7 held-out clips" in page_of(table(5, reference={"sha256": "", "clips": 7}))


def test_a_document_of_any_name_is_written_into_and_no_other(tmp_path: Path) -> None:
    document, mine = tmp_path / "page.markdown", tmp_path / "page.md"
    document.write_text("\n".join(("before", *marks(NAME))))
    mine.write_text("mine")
    config = ClaimsConfig(shards=tmp_path, out=tmp_path / "out", write=document)
    _written(config, table(5))
    assert mine.read_text() == "mine"
    assert json.loads((tmp_path / "out/claims.json").read_bytes())["scored_split"] == "val"
    assert "### Tab. 5" in document.read_text()
    assert "### Tab. 5" in (tmp_path / "out/claims.md").read_text()
    assert "Tab. 5" in json.loads((tmp_path / "page.json").read_bytes())["tables"]


def test_differences_of_ratios_are_those_of_the_rows() -> None:
    file = Path(__file__).parents[3] / "docs/claims.json"
    found = 0
    for table in json.loads(file.read_bytes())["tables"].values():
        for pair in table["pairs"]:
            for name in filter(lambda name: METRICS[name].weighed, pair["measures"]):
                ours = pair["measures"][name]["over_videos"]
                first, other = (
                    sum(pair["values"][row][name]) / len(pair["seeds"])
                    for row in (pair["first"], pair["other"])
                )
                assert ours["videos"] == table["settings"]["clips"]
                assert ours["value"] == pytest.approx(other - first, abs=1e-6)
                found += 1
    assert found > 10


def test_what_is_finished_must_have_been_made_as_is_asked_for(tmp_path: Path) -> None:
    shards, output = tmp_path / "shards", tmp_path / "video"
    dataset(shards, videos=2, clips=1)

    def command(*more: str, shards: Path = shards) -> list[str]:
        given = ["--stage", "video", "--preset", "tiny", "--shards", str(shards), *more]
        return [*given, "--output", str(output), "--size", str(SIZE), "--cpu", "--steps", "9"]

    start = tmp_path / "start"  # which is gone by now
    config = dataclasses.replace(parse(command()), init_from=start / "model")
    digest = shards_digest(open_mixture(config.shards))
    (output / "model").mkdir(parents=True)
    write_config(output, described(config, processes=1, shards_digest=digest))
    same = command("--init-from", str(start))
    check_trained(output, same, tmp_path)
    check_trained(output, command("--init-from", str(start / "model")), tmp_path)
    with pytest.raises(ClaimsError, match=r"video was made.*\n.*seed: saved 0, given 1\n.*--out\."):
        check_trained(output, [*same, "--seed", "1"], tmp_path)
    with pytest.raises(ClaimsError, match=r"init_from: saved .*start/model, given .*other"):
        check_trained(output, command("--init-from", str(tmp_path / "other")), tmp_path)
    with pytest.raises(ClaimsError, match=r"init_from: saved .*start/model, given None"):
        check_trained(output, command(), tmp_path)
    with pytest.raises(ClaimsError, match="device: saved cpu, given cuda"):
        check_trained(output, [word for word in same if word != "--cpu"], tmp_path)
    write_shards(tmp_path / "others", [shard_clip(98, "train")], [])
    with pytest.raises(ClaimsError, match="shards_digest: the shards"):
        check_trained(output, command(shards=tmp_path / "others"), tmp_path)
    (output / "config.json").unlink()
    with pytest.raises(ClaimsError, match=r"has lost its config\.json: move"):
        check_trained(output, same, tmp_path)


def step(folder: Path, name: str, program: str) -> Step:
    """A command that runs a program of Python, which is to make file `name`."""
    (folder / f"{name}_made.py").write_text(program)
    return Step(f"{name}_made", [], folder / name, folder / "log.txt", lambda: None)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_a_command_that_fails_is_told_at_once_and_the_others_are_run(
    beside: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = step(beside, "a", "import sys; sys.exit('no such thing')")
    good = step(beside, "b", f"open({str(beside / 'b')!r}, 'w')")
    with (
        pytest.raises(ClaimsError, match=r"a_made ended with 1: no such thing\n.*log\.txt has all"),
        Commands(1) as commands,
    ):
        commands.all([[bad], [good]])
    assert (beside / "b").exists()
    assert "no such thing" in caplog.text


def test_what_waits_for_a_command_that_failed_is_not_run(beside: Path) -> None:
    bad = step(beside, "a", "raise SystemExit(3)")
    later = step(beside, "b", f"open({str(beside / 'b')!r}, 'w')")
    with pytest.raises(ClaimsError, match="ended with 3"), Commands(2) as commands:
        commands.begin([later], after=commands.begin([bad])).result()
    assert not (beside / "b").exists()


def test_what_is_there_is_checked_one_after_the_other(beside: Path) -> None:
    """Two threads that parse command lines disturb each other."""
    at_work, most = [], []

    def check() -> None:
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.pop()

    (beside / "a").touch()
    there = Step("none", [], beside / "a", beside / "log.txt", check)
    with Commands(4) as commands:
        commands.all([[there]] * 4)
    assert most == [1, 1, 1, 1]


@pytest.mark.timeout(120)
def test_ctrl_c_stops_what_runs_and_begins_no_more(beside: Path) -> None:
    began, never = beside / "began", beside / "b"
    sleeps = f"open({str(began)!r}, 'w').close(); import time; time.sleep(600)"
    later = step(beside, "b", f"open({str(never)!r}, 'w')")

    def interrupted(commands: Commands) -> None:
        commands.begin([step(beside, "a", sleeps)])
        commands.begin([later])
        while not began.exists():
            time.sleep(0.05)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Commands(1) as commands:
        interrupted(commands)
    assert not never.exists()


@pytest.mark.slow
@pytest.mark.timeout(900)  # eight commands, each of which imports torch
def test_a_pair_runs_resumes_and_promises_nothing(tmp_path: Path) -> None:
    dataset(tmp_path / "shards", videos=2, clips=1)
    own = VARIANTS["separate-unets"].model.keys() | {"shared_maps", "consistency_layers"}
    settings = {
        "model": {k: v for k, v in MODEL.to_dict().items() if k not in own},
        "loss": {"denoise_error": "v"},
        "data": {"size": SIZE, "frames": 3, "workers": 0},
        "run": {"batch_size": 1},
        "report": {"tensorboard": False},
    }
    (tmp_path / "train.json").write_text(json.dumps(settings))
    config = ClaimsConfig(
        shards=tmp_path / "shards",
        out=tmp_path / "out",
        train=tmp_path / "train.json",
        seeds=(0,),
        clips=2,
        pretrain_steps=1,
        image_steps=2,
        video_steps=2,
        sampling_steps=1,
        pose="none",
        metrics=("depth_rmse", "edge_f1"),
    )
    document = tmp_path / "page.md"
    document.write_text("\n".join(("before", *marks(NAME), "after")))
    elsewhere = json.loads((Path(__file__).parents[3] / "docs/claims.json").read_bytes())
    elsewhere["tables"] = {"Tab. 4": elsewhere["tables"]["Tab. 4"]}
    (tmp_path / "page.json").write_text(json.dumps(elsewhere))
    config = dataclasses.replace(config, write=document)
    config = dataclasses.replace(config, tables=(5,))  # of the first pair's table nothing is run
    tables = made(config, (HEADLINE[0], HEADLINE[-1]))
    assert list(tables) == ["Tab. 4", "Tab. 5"]
    assert tables["Tab. 4"] == elsewhere["tables"]["Tab. 4"]
    scored = config.out / "runs/0/idol/scored"
    found = json.loads((scored / "scores.json").read_bytes())
    assert tables["Tab. 5"]["reference"]["sha256"] == found["reference"]["sha256"]
    run = json.loads((scored / "run.json").read_bytes())
    assert tables["Tab. 5"]["guidance"] == run["guidance"]
    [pair] = tables["Tab. 5"]["pairs"]
    assert pair["measures"]["depth_rmse"]["over_videos"]["videos"] == 2
    assert len(pair["values"]["idol"]["depth_rmse"]) == 1
    # One seed says nothing of others.
    assert pair["measures"]["depth_rmse"]["verdict"] == "not shown"
    assert all(share > 0 for share in pair["gradient_shares"].values())
    page = (config.out / "claims.md").read_text()
    assert "cross-attention-loss → idol" in page
    assert not (config.out / "runs/0/idol/image").exists()
    assert "not shown" in page
    written = document.read_text()
    assert written.startswith("before\n")
    assert "cross-attention-loss → idol" in written
    assert "separate-unets → shared-unet" in written
    assert "separate-unets → shared-unet" not in page

    kept = config.out / "runs/0/idol/video/model/idol.json"
    before = kept.stat().st_mtime_ns
    scores = config.out / "runs/0/idol/scored/scores.json"
    scores.unlink()
    made(config, HEADLINE[-1:])
    assert scores.exists()
    assert kept.stat().st_mtime_ns == before
    assert (config.out / "claims.md").read_text() == page

    for changed, line in (
        ({"video_steps": 3}, "optimizer.steps: saved 2, given 3"),
        ({"sampling_steps": 2}, "steps: saved 1, given 2"),
        ({"pose": "lite"}, "pose: saved none, given lite"),
    ):
        with pytest.raises(ClaimsError, match=line):
            made(dataclasses.replace(config, **changed), HEADLINE[-1:])
    assert kept.stat().st_mtime_ns == before
