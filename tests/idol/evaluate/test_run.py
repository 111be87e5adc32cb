"""`idol-eval run`: rows are whole or absent, resumed to the byte, by any number of processes."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from idol.config.checks import ConfigError
from idol.config.evaluate import EvaluateRunConfig
from idol.evaluate.cli import main
from idol.evaluate.run import clip_seed
from idol.model_info import DepthMeaning
from shards.files.locks import exclusive
from tests.idol.evaluate.made import SIZE, dataset, shard_clip
from tests.idol.generate.small import tiny
from tests.idol.train.micro import MODEL, write_shards


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model and a dataset of its size."""
    root = tmp_path_factory.mktemp("run")
    dataset(root / "shards", videos=2, clips=2)
    tiny(size=SIZE).save_pretrained(root / "model")
    return root


def run(root: Path, out: str, *arguments: str) -> int:
    given = ["run", "--model", str(root / "model"), "--shards", str(root / "shards")]
    given += ["--out", str(root / out), "--steps", "1", "--pose", "none"]
    given += ["--metrics", "depth_rmse", "psnr", *arguments]
    return main(given)


def rows(root: Path, out: str) -> dict[str, bytes]:
    return {
        str(file.relative_to(root / out)): file.read_bytes()
        for file in sorted((root / out / "clips").rglob("*"))
        if file.is_file()
    }


def test_clips_are_generated_scored_and_resumed_to_the_byte(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(world, "whole") == 0
    said = capsys.readouterr().err
    assert "it/s" not in said  # no bar for the steps of each clip
    for line in ("generated: 0 of 4 clips", "generated: 4 of 4 clips", "scored: 4 of 4 clips"):
        assert line in said
    scores = json.loads((world / "whole" / "scores.json").read_text())
    assert scores["counts"] | {"clips": 4, "videos": 2} == scores["counts"]
    assert 0 < scores["metrics"]["depth_rmse"]["value"] < 1
    whole = rows(world, "whole")
    assert len([name for name in whole if name.endswith("clip.json")]) == 4
    # Stopped while one was written, and another was not begun.
    clips = world / "whole" / "clips"
    shutil.rmtree(clips / "videos-v1-0")
    (clips / "videos-v0-8").rename(clips / ".unfinished-videos-v0-8")
    (clips / ".unfinished-videos-v0-8" / "clip.json").unlink()
    kept = (clips / "videos-v0-0" / "clip.json").stat().st_mtime_ns
    assert run(world, "whole") == 0
    assert rows(world, "whole") == whole
    assert (clips / "videos-v0-0" / "clip.json").stat().st_mtime_ns == kept


@pytest.mark.parametrize("harm", ["changed", "gone", "no row"])
def test_a_damaged_clip_is_made_again(
    world: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    assert run(world, "whole") == 0
    whole = rows(world, "whole")
    folder = world / "whole" / "clips" / "videos-v1-0"
    if harm == "gone":
        (folder / "rgb" / "000.png").unlink()
    elif harm == "changed":
        (folder / "rgb" / "000.png").write_bytes((folder / "rgb" / "001.png").read_bytes() + b"0")
    else:
        (folder / "clip.json").write_text("{}")
    assert run(world, "whole") == 0
    assert f"{folder} is not as it was written" in caplog.text
    assert rows(world, "whole") == whole


def test_processes_share_the_clips_and_the_last_one_scores(world: Path) -> None:
    assert run(world, "shared", "--share", "1/2") == 0
    assert not (world / "shared" / "scores.json").exists()
    assert run(world, "shared", "--share", "0/2") == 0
    assert (world / "shared" / "scores.json").exists()
    assert rows(world, "shared") == rows(world, "whole")


def test_what_another_process_generates_is_left_to_it(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(world, "two", "--limit", "2", "--share", "1/2") == 0
    clips = world / "two" / "clips"
    with exclusive(clips / ".videos-v0-0.lock"):
        assert run(world, "two", "--limit", "2") == 0
        assert [path.name for path in clips.iterdir() if path.is_dir()] == ["videos-v0-8"]
    monkeypatch.setattr("idol.evaluate.run._is_to_be_made", lambda row: True)  # but meanwhile it is
    kept = (clips / "videos-v0-8" / "clip.json").stat().st_mtime_ns
    assert run(world, "two", "--limit", "2") == 0
    assert (clips / "videos-v0-8" / "clip.json").stat().st_mtime_ns == kept
    assert (world / "two" / "scores.json").is_file()


def test_a_clip_that_cannot_be_written_leaves_nothing(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(world, "full", "--limit", "1", "--no-score") == 0
    clips = world / "full" / "clips"
    shutil.rmtree(clips / "videos-v0-0")

    def full(*_: object, **__: object) -> bytes:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("idol.evaluate.run.canonical_json", full)
    with monkeypatch.context() as patch:
        patch.setattr("idol.evaluate.run._settle", lambda *_: None)
        assert run(world, "full", "--limit", "1", "--no-score") == 2
    assert not [*clips.iterdir()]


def test_a_run_with_other_settings_is_refused(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(world, "other", "--limit", "1") == 0
    assert run(world, "other", "--limit", "1", "--seed", "3") == 2
    assert "a run with other settings (seed was 0, is 3)" in capsys.readouterr().err


def test_clips_of_which_nothing_says_whose_they_are_are_kept(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(world, "whose", "--limit", "1", "--no-score") == 0
    (world / "whose" / "run.json").unlink()
    before = rows(world, "whose")
    assert run(world, "whose", "--limit", "1", "--seed", "3") == 2
    assert "there is no run.json that says whose they are" in capsys.readouterr().err
    assert rows(world, "whose") == before
    for content, said in (("null", "does not say what the run is"), ("{", "is not JSON")):
        (world / "whose" / "run.json").write_text(content)
        assert run(world, "whose", "--limit", "1") == 2
        assert f"run.json {said}" in capsys.readouterr().err


def test_scores_by_another_protocol_are_not_replaced(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(world, "scored", "--limit", "1") == 0
    before = (world / "scored" / "scores.json").read_bytes()
    assert run(world, "scored", "--limit", "1", "--protocol", "disco-image-16") == 2
    assert "has scores by protocol clean-8: to keep them" in capsys.readouterr().err
    assert (world / "scored" / "scores.json").read_bytes() == before
    assert run(world, "scored", "--limit", "1") == 0


@pytest.mark.parametrize("name", ["table.tex", "scores.json"])
def test_files_of_other_works_are_not_replaced(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("mine")
    assert run(world, str(tmp_path)) == 2
    assert f"{tmp_path / name}: there already, and no " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_clips_made_from_another_dataset_of_the_same_keys_are_refused(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(world, "again", "--limit", "1") == 0
    other = write_shards(tmp_path, [], [shard_clip(7, "v0")])
    given = ("--limit", "1", "--shards", str(other))
    assert run(world, "again", *given) == 2
    assert "a run with other settings (shards_sha256 was " in capsys.readouterr().err
    # One that began before shards were written down cannot be told from its like.
    file = world / "again" / "run.json"
    said = json.loads(file.read_text())
    del said["shards_sha256"]
    file.write_text(json.dumps(said))
    assert run(world, "again", *given) == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--pose", "nobody"), "nobody"),
        (("--metrics", "beauty"), "beauty"),
        (("--require", "beauty"), "beauty"),
        (("--protocol", "none"), "none"),
        (("--require", "lpips", "--weights", "nowhere"), "vgg16-397923af.pth is not there"),
        (("--require", "fid", "--weights", "nowhere"), "required, and cannot be computed"),
        (("--require", "dtssd_frames"), "has it of depth alone"),
        (("--require", "akd", "--pose", "none"), "--pose none was given"),
    ],
)
def test_how_clips_are_scored_is_looked_at_before_they_are_generated(
    world: Path, given: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "--model", str(world / "model"), "--shards", str(world / "shards")]
    assert main([*command, "--out", str(world / "never"), *given]) == 2
    assert said in capsys.readouterr().err
    assert not (world / "never").exists()


@pytest.mark.parametrize("key", ["../../victim", "/home/me", "..", ""])
def test_a_manifest_cannot_name_folders_elsewhere(
    world: Path, tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(world / "shards", tmp_path / "shards")
    for file in (tmp_path / "shards").rglob("shard-*.json"):
        said = json.loads(file.read_text())
        said["samples"][0]["key"] = key
        file.write_text(json.dumps(said))
    given = ("--shards", str(tmp_path / "shards"), "--no-score")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("idol.evaluate.run.generate", lambda *_: None)  # which would remove folders
        assert run(world, "never", *given) == 2
    assert "of a clip is no plain name" in capsys.readouterr().err
    assert not (world / "never").exists()


def test_frames_of_a_size_that_is_not_compared_are_not_generated(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(size=2 * SIZE).save_pretrained(tmp_path / "model")
    command = ["run", "--model", str(tmp_path / "model"), "--shards", str(world / "shards")]
    command += ["--limit", "1", "--metrics", "psnr", "--pose", "none", "--steps", "1"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert f"makes frames of {2 * SIZE}x{2 * SIZE}, " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    others = ["--protocol", "disco-image-16", "--out", str(tmp_path / "out")]
    assert main([*command, *others]) == 0


def test_depth_is_compared_with_that_of_its_kind_or_not_generated(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(size=SIZE, depth=DepthMeaning(kind="frame")).save_pretrained(tmp_path / "model")
    clip = shard_clip(7, "v0")
    both = dataclasses.replace(clip, depth_frame=np.full((8, SIZE, SIZE), 0.5, np.float32))
    write_shards(tmp_path / "shards", [], [both])
    write_shards(tmp_path / "other", [], [clip])
    given = ["--model", str(tmp_path / "model"), "--limit", "1"]
    assert run(tmp_path, "out", *given) == 0
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["settings"]["depth"] == "frame"
    given += ["--shards", str(tmp_path / "other")]
    assert run(tmp_path, "never", *given) == 2
    assert "makes depth of the frame, and " in capsys.readouterr().err
    assert not (tmp_path / "never").exists()
    assert run(tmp_path, "images", *given, "--metrics", "psnr") == 0


def test_a_model_of_pretraining_is_refused_before_anything_is_read(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(MODEL.for_single_frames(), stage="pretrain").save_pretrained(tmp_path / "model")
    command = ["run", "--model", str(tmp_path / "model"), "--shards", str(tmp_path / "none")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "was pre-trained on single images" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_seed_of_a_clip_is_of_its_key_alone() -> None:
    seeds = {clip_seed(0, "a"), clip_seed(0, "b"), clip_seed(1, "a")}
    assert len(seeds) == 3
    assert clip_seed(0, "a") == clip_seed(0, "a")
    with pytest.raises(Exception, match="--share must be I/N"):
        EvaluateRunConfig(model=Path("m"), shards="s", out=Path("o"), share="2/2")


def test_how_it_samples_is_checked_as_idol_generate_checks_it() -> None:
    with pytest.raises(ConfigError) as refused:
        EvaluateRunConfig(
            model=Path("m"),
            shards="s",
            out=Path("o"),
            steps=5000,
            guidance=-3,
            scheduler="nope",  # type: ignore[arg-type]
            temperature=-1,
        )
    message = str(refused.value)
    for fault in (
        "--steps must be from 1 to 1000, not 5000",
        "--guidance must be from 0 to 100, not -3",
        "--scheduler must be one of ddim, unipc, dpm, lcm, not 'nope'",
        "--temperature must be from 0 to 100, not -1",
    ):
        assert fault in message
