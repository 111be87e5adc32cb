"""`idol-generate`: from a photo and a motion to files, stopped and resumed, and what it refuses."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric import ec
from diffusers import AutoencoderKL

from idol.config.generate import GenerateConfig
from idol.generate.cli import main, parse
from idol.generate.errors import GenerationError
from idol.generate.generator import ClipGenerator
from idol.generate.inputs.files import check_given, input_files
from idol.generate.resume import Remains
from idol.model_info import DepthMeaning
from idol.pretrained import PRETRAINED
from preprocess import weights
from shards.files.atomic import temporary_path
from shards.files.locks import alone_in
from tests.idol.generate.certificates import MAIL, certificate
from tests.idol.generate.figures import BONES, walk
from tests.idol.generate.small import sd14, tiny
from tests.idol.train.micro import MODEL

Write = Callable[[Path, np.ndarray], Path]
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny(frames=8).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, model: Path) -> list[str]:
    """A command that needs no annotator: a photo with its mask, and key points over it."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    mask = np.zeros((320, 400), np.uint8)
    mask[120:300, 170:230] = 255
    cv2.imwrite(str(folder / "photo.png"), rng.integers(0, 256, (320, 400, 3), np.uint8))
    cv2.imwrite(str(folder / "mask.png"), mask)
    np.save(folder / "motion.npy", walk(BONES, frames=14, step=2.0))
    return [
        str(folder / "photo.png"), "--person-mask", str(folder / "mask.png"), "--driving",
        str(folder / "motion.npy"), "--pose", "none", "--retarget", "none", "--model", str(model),
        "--scheduler", "ddim", "--steps", "3", "--no-watermark", "--device", "cpu",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes."""
    out = tmp_path_factory.mktemp("made") / "out"
    assert main([*inputs, "--out", str(out)]) == 0
    return out


@pytest.fixture
def given(inputs: list[str], tmp_path: Path) -> list[str]:
    return [*inputs, "--out", str(tmp_path / "out")]


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_help_answers_at_once() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "idol.generate.cli", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--retarget" in done.stdout
    assert "--sam" in done.stdout  # an annotator's own option
    assert "--normals" not in done.stdout
    heavy = ("torch", "cv2", "diffusers")
    assert not any(line.split("|")[-1].strip() in heavy for line in done.stderr.splitlines())
    assert time.monotonic() - began < 60


def test_unknown_joints_are_said_where_the_model_would_take_them(
    inputs: list[str], made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an annotator nothing is known of the photo's; other models do not ask."""
    settings = dataclasses.replace(MODEL, posed_foreground=True)
    tiny(settings, frames=8).save_pretrained(tmp_path / "posed")
    assert main([*inputs, "--model", str(tmp_path / "posed"), "--out", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("the joints in photo.png are not known") == 1
    assert json.loads((tmp_path / "out" / "report.json").read_bytes())["posed"] is False
    assert "posed" not in json.loads((made / "report.json").read_bytes())


def test_a_video_its_depth_and_a_report(given: list[str], tmp_path: Path) -> None:
    assert main([*given, "--keep-background"]) == 0
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert names == {
        *("video.mp4", "depth.mp4", "side_by_side.mp4", "depth", "sheet.png"),
        *("background.png", "preview.png", "report.json"),
    }
    report = json.loads((out / "report.json").read_bytes())
    assert report["seam"] > 0
    assert report["drift"].keys() == {"background", "person"}
    assert report["background_psnr"] == "infinite" or report["background_psnr"] > 0
    assert report["background_kept"] is not None
    assert report["settings"]["seed"] == 0
    assert report["motion"]["frames_used"] == 14
    assert report["placement"]["retarget"]["method"] == "none"
    assert len(report["inputs"]["photo"]["sha256"]) == 64
    assert len(report["files"]["video.mp4"]["sha256"]) == 64


def test_a_stopped_video_is_resumed_to_the_bytes_of_one_that_was_not(
    given: list[str],
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep = Remains.keep_step
    steps = []

    def stop_after_two(self: Remains, done: int, latents: np.ndarray) -> None:
        keep(self, done, latents)
        steps.append(done)
        if len(steps) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Remains, "keep_step", stop_after_two)
    assert main(given) == 130
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {".resume", "preview.png"}
    assert "unfinished video that was made with other settings (settings.seed: 0 there, 3" in (
        one_line([*given, "--seed", "3"], capsys)
    )
    shutil.copytree(out, tmp_path / "damaged")
    assert main(given) == 0
    assert steps == [1, 2, 3]  # one step was left
    assert files_of(out) == files_of(made)
    # What cannot be read is made again.
    shutil.rmtree(out)
    shutil.move(tmp_path / "damaged", out)
    for name, damage in (("latents.npz", slice(0, 1000)), ("inputs.npz", slice(100, None))):
        kept = out / ".resume" / name
        kept.write_bytes(kept.read_bytes()[damage])
    assert main(given) == 0
    assert steps == [1, 2, 3, 1, 2, 3]
    assert files_of(out) == files_of(made)


def test_what_is_there_is_not_made_twice_nor_overwritten(
    given: list[str],
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    before = files_of(out)

    def no_more(*_: object, **__: object) -> None:
        raise AssertionError("it was made again")

    with monkeypatch.context() as patch:
        patch.setattr(ClipGenerator, "__call__", no_more)
        assert main(given) == 0
        said = one_line([*given, "--seed", "2"], capsys)
    assert "holds another video (settings.seed: 0 there, 2 here)" in said
    assert files_of(out) == before
    assert "holds a video, and its preview" in one_line([*given, "--preview"], capsys)
    (out / "video.mp4").unlink()
    assert main(given) == 0  # it is not there, whatever the report says
    assert files_of(out) == before
    assert main([*given, "--seed", "2", "--overwrite"]) == 0
    after = files_of(out)
    assert after.keys() == before.keys()
    assert after["depth/00003.png"] != before["depth/00003.png"]


def test_a_finished_video_keeps_its_preview_until_another_is_finished_in_its_place(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, keep = tmp_path / "out", Remains.keep_step

    def stop(self: Remains, done: int, latents: np.ndarray) -> None:
        keep(self, done, latents)
        raise KeyboardInterrupt

    other = [*given, "--frames", "8", "--steps", "1"]
    assert main([*other, "--out", str(tmp_path / "whole")]) == 0
    assert main(replace(given, "--steps", "1")) == 0
    before = files_of(out)
    for command in (other, [*other, "--seed", "1"], other):  # remains of others are begun anew
        with monkeypatch.context() as patch:
            patch.setattr(Remains, "keep_step", stop)
            assert main([*command, "--overwrite"]) == 130
        left = files_of(out)
        assert {name: left[name] for name in before} == before
    assert main(replace(given, "--steps", "1")) == 0  # it is there
    assert main([*other, "--overwrite"]) == 0
    after = files_of(out)
    assert after == files_of(tmp_path / "whole")
    assert after["preview.png"] != before["preview.png"]


def test_what_was_killed_while_it_was_put_in_place_is_overwritten(
    given: list[str], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Remains, "remove", lambda self: None)
        assert main(given) == 0
    (tmp_path / "out" / "report.json").unlink()
    assert main([*given, "--overwrite"]) == 0
    assert files_of(tmp_path / "out") == files_of(made)


def test_a_clip_that_was_built_again_is_another_one(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people, shard = Path(__file__).parents[3] / "examples" / "people.tar", tmp_path / "a.tar"
    shard.write_bytes(people.read_bytes())
    command = replace(given, "--driving", f"{shard}::people-00000")
    assert main([*command, "--frames", "8"]) == 0
    with tarfile.open(people) as old, tarfile.open(shard, "w") as new:
        for member in old.getmembers():
            data = old.extractfile(member).read()  # type: ignore[union-attr]
            if member.name == "people-00000-0.keypoints.npy":
                data = data[:-4] + bytes(4)
            new.addfile(member, io.BytesIO(data))
    said = one_line([*command, "--frames", "8"], capsys)
    assert "holds another video (inputs.driving.sha256: " in said


def test_remains_of_nobody_knows_what_are_not_taken_up(
    given: list[str], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process leaves them that is killed while it removes them."""
    with monkeypatch.context() as patched:
        patched.setattr(Remains, "remove", lambda self: None)
        assert main([*given, "--seed", "3"]) == 0
    out = tmp_path / "out"
    (out / ".resume" / "settings.json").unlink()
    assert main([*given, "--overwrite"]) == 0
    assert files_of(out) == files_of(made)


def test_a_video_that_is_to_be_signed_is_not_taken_for_one_that_was_not(
    given: list[str], made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made, tmp_path / "out")
    files = certificate(tmp_path / "pem", ec.generate_private_key(ec.SECP256R1()), MAIL)
    said = one_line([*given, "--c2pa", *map(str, files)], capsys)
    assert "holds another video (signed_with: null there" in said


def test_a_model_of_whole_frames_keeps_no_background_and_says_so_first(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(frames=8, depth=DepthMeaning(kind="frame")).save_pretrained(tmp_path / "model")
    command = replace(given, "--model", str(tmp_path / "model"))
    assert "the background cannot be kept" in one_line([*command, "--keep-background"], capsys)
    assert not (tmp_path / "out").exists()


def test_a_model_of_pretraining_is_refused_before_anything_is_read(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(MODEL.for_single_frames(), stage="pretrain").save_pretrained(tmp_path / "model")
    command = replace(given, "--model", str(tmp_path / "model"))
    command[0] = str(tmp_path / "photo.png")
    (tmp_path / "photo.png").write_bytes(b"no picture")
    assert "knows neither poses nor depth: train the stages" in one_line(command, capsys)
    assert not (tmp_path / "out").exists()


def test_a_model_of_images_takes_short_motions_and_no_windows(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    tiny(MODEL.for_single_frames(), stage="image", frames=1).save_pretrained(model)
    command = [*replace(given, "--model", str(model)), "--frames", "3"]
    for option in ("--window", "--overlap"):
        said = one_line([*command, option, "2"], capsys)
        assert f"{option} 2: {model} is of stage image, which takes each frame by itself" in said
    assert not (tmp_path / "out").exists()
    assert main(command) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert report["motion"]["frames_used"] == 3
    assert report["windows"]["length"] == 1
    assert report["windows"]["overlap"] == 0


def test_numbers_that_are_not_finite_leave_nothing_in_the_way_of_the_next_command(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tiny(frames=8)
    with torch.no_grad():
        next(broken.unet.parameters()).fill_(torch.nan)
    broken.save_pretrained(tmp_path / "model")
    said = one_line(replace(given, "--model", str(tmp_path / "model")), capsys)
    assert "step 1 of 3 gave numbers that are not finite: lower --guidance" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["preview.png"]
    assert main(given) == 0


def test_one_window_has_no_other_to_overlap_with(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = one_line([*given, "--frames", "8", "--overlap", "2"], capsys)
    assert "--overlap 2: the 8 frames of motion.npy are one window" in said
    assert not (tmp_path / "out").exists()


def test_the_preview_comes_without_a_model(given: list[str], tmp_path: Path) -> None:
    at = given.index("--model")
    assert main([*given[:at], *given[at + 2 :], "--preview"]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["preview.png"]


def test_without_a_model_it_takes_the_one_of_the_package(given: list[str], tmp_path: Path) -> None:
    at = given.index("--model")
    own = [*given[:at], *given[at + 2 :]]
    assert main([*replace(own, "--steps", "1"), "--frames", "8"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    there = [path for path in PRETRAINED.rglob("*") if path.is_file()]
    assert report["model"]["files"] == len(there)


def test_the_marks_network_is_taken_from_the_folder_of_weights(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = weights.folder()
    monkeypatch.setenv("IDOL_WEIGHTS", str(tmp_path / "nothing"))
    marked = [part for part in given if part != "--no-watermark"]
    assert main([*replace(marked, "--steps", "1"), "--frames", "8", "--weights", str(root)]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert report["watermark"]["message"] == "IDOL"


def replace(arguments: list[str], option: str, value: str) -> list[str]:
    changed = list(arguments)
    changed[changed.index(option) + 1] = value
    return changed


def one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert not captured.out
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, lines
    (line,) = lines
    assert line.startswith("idol-generate: ")
    return line


def test_bad_input_is_one_clear_line_and_leaves_nothing(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], write_image: Write
) -> None:
    out = tmp_path / "out"
    np.save(tmp_path / "short.npy", walk(BONES, frames=5))
    np.save(tmp_path / "one.npy", walk(BONES, frames=1))
    write_image(tmp_path / "small.png", np.zeros((8, 9, 3), np.uint8))
    (tmp_path / "empty").mkdir()
    cases = {
        "short.npy has 5 frames, and 8 pass through": ("--driving", tmp_path / "short.npy"),
        "one.npy has one frame": ("--driving", tmp_path / "one.npy"),
        "absent.mp4: there is no such file": ("--driving", tmp_path / "absent.mp4"),
        "empty is a folder without files": ("--driving", tmp_path / "empty"),
        "empty is a folder, and a file is asked for": ("--person-mask", tmp_path / "empty"),
        "small.png has 9x8 pixels": ("--person-mask", tmp_path / "small.png"),
        "holds no trained model": ("--model", tmp_path / "empty"),
        "no key points of the person": ("--retarget", "proportions"),
        "nobody:9: ": ("--pose", "nobody:9: "),
        "--steps": ("--steps", "0"),
        "--pose source is for rendered people": ("--pose", "source"),
    }
    for reason, (option, value) in cases.items():
        line = one_line(replace(given, option, str(value)), capsys)
        assert reason.rstrip() in line, (reason, line)
        assert not out.exists(), reason
    for option in ("--guidance", "--temperature"):
        assert f"{option} must be from 0 to 100, not 1e+30" in one_line(
            [*given, option, "1e30"], capsys
        )
    for rate in ("0", "-1", "nan", "25fps"):
        assert "--fps" in one_line([*given, f"--fps={rate}"], capsys)
    for part in (("--frames", "3"), ("--start-frame", "11")):
        assert "the part of motion.npy that is taken has 3 frames, and 8 pass" in one_line(
            [*given, *part], capsys
        )
    assert "absent.png: there is no such file" in one_line(
        [str(tmp_path / "absent.png"), *given[1:]], capsys
    )
    assert not out.exists()


def test_all_that_is_absent_is_told_before_anything_slow_is_loaded(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code = (
        "import sys; from idol.generate.cli import main; code = main(); "
        "print(*{'torch', 'cv2', 'diffusers'} & set(sys.modules)); sys.exit(code)"
    )
    (tmp_path / "file").touch()
    given = ["no.jpg", "--driving", "d::k", "--background", "pipe", "--model", "m"]
    given += ["--out", "file/o"]
    done = subprocess.run(
        [sys.executable, "-c", code, *given, "--c2pa", "a.pem", "b.pem"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (2, "")
    assert done.stderr.strip() == (
        "idol-generate: no.jpg: there is no such file; --background: pipe is a pipe or a device, "
        "and a file is asked for; d::k: there is no dataset d; --model: m: there is no such "
        "folder; --c2pa: a.pem: there is no such file; --c2pa: b.pem: there is no such file; "
        "file is a file: give a folder as --out"
    )


def test_a_dataset_without_a_key_and_what_is_far_away_are_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{}")
    tar = ROOT / "examples" / "people.tar"
    with pytest.raises(GenerationError) as told:
        check_given(GenerateConfig(photo=str(tar), driving=str(tmp_path), out=tmp_path))
    assert str(told.value) == (
        f"{tar} is a dataset: name a clip of it, as {tar}::KEY; "
        f"--driving: {tmp_path} is a dataset: name a clip of it, as {tmp_path}::KEY"
    )
    with pytest.raises(GenerationError, match="URLs are not read: download what lies there"):
        check_given(GenerateConfig(photo="https://a.b/c.jpg", driving="d.npy", out=tmp_path))


def test_files_with_colons_in_their_names_are_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"photo": "take::2/photo.png", "driving": "take::2/dance.npy"}
    (tmp_path / "take::2").mkdir()
    assert input_files(GenerateConfig(**names, out=Path("out"))) == {}  # clips
    for name in names.values():
        (tmp_path / name).write_bytes(b"")
    background = Path("take::2/bg.png")
    config = GenerateConfig(**names, background=background, out=Path("out"))
    found = {name: Path(path) for name, path in names.items()}
    assert input_files(config) == found | {"background": background}
    with pytest.raises(GenerationError, match=r"--background: take::2/bg.png: there is no such"):
        check_given(config)


def test_a_folder_with_something_else_is_left_alone(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    (tmp_path / "out" / "preview.png").write_text("of something else")
    for more in ([], ["--preview"]):
        assert "is not empty (it holds thesis.tex)" in one_line([*given, *more], capsys)
    assert (tmp_path / "out" / "preview.png").read_text() == "of something else"
    (tmp_path / "file").write_text("")
    assert "is a file" in one_line(replace(given, "--out", str(tmp_path / "file")), capsys)


def test_a_preview_that_was_killed_while_it_was_written_is_in_nobodys_way(
    given: list[str], made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    half = temporary_path(out / "preview.png")
    half.write_bytes(b"half")
    assert main([*given, "--preview"]) == 0
    assert main(given) == 0
    assert files_of(out) == files_of(made)


@pytest.mark.parametrize("name", ["depth/lidar.npy", "video.mp4", "report.json"])
@pytest.mark.parametrize("report", [None, '{"settings": {}, "files": {}}'])
def test_what_nothing_says_is_ours_is_not_overwritten(
    name: str,
    report: str | None,
    given: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    if report:
        (tmp_path / "out" / "report.json").write_text(report)
        name = "report.json" if name > "report.json" else name
    mine.write_text("years of work")
    before = files_of(tmp_path / "out")
    said = one_line([*given, "--overwrite"], capsys)
    found = tmp_path / "out" / name.partition("/")[0]
    assert f"{found} is there, and no report.json beside it says" in said
    assert "--overwrite" not in one_line(given, capsys)
    assert files_of(tmp_path / "out") == before


@pytest.mark.parametrize("name", ["video.mp4", "depth/dance.npy", "link"])
def test_what_is_given_is_not_written_over(
    name: str, given: list[str], made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    (out / "depth" / "dance.npy").write_bytes(b"a motion")
    (tmp_path / "link").symlink_to(out / "sheet.png")
    path = out / name if name != "link" else tmp_path / name
    command = replace(given, "--driving", str(path))
    before = files_of(out)
    for more in ([], ["--overwrite"]):
        assert f"{path} is given, and " in one_line([*command, *more], capsys)
    assert files_of(out) == before


def test_what_writes_depth_and_videos_is_missed_before_anything_is_done(
    given: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "OpenEXR", None)
        assert "depth is written by OpenEXR" in one_line(given, capsys)
    monkeypatch.setattr("av.codecs_available", set())
    assert "this build of PyAV has no x264" in one_line(given, capsys)
    assert not (tmp_path / "out").exists()


def test_a_folder_has_one_generation_at_a_time(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone_in(tmp_path / "out"):
        assert "in use by another idol-generate" in one_line(given, capsys)
    assert not (tmp_path / "out").exists()


def test_what_another_command_finished_meanwhile_is_not_overwritten(
    given: list[str],
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @contextmanager
    def late(folder: Path) -> Iterator[None]:
        shutil.copytree(made, folder, dirs_exist_ok=True)
        with alone_in(folder):
            yield

    monkeypatch.setattr("idol.generate.run.alone_in", late)
    assert "holds another video (settings.seed: 0 there" in one_line(
        [*given, "--seed", "3"], capsys
    )
    assert main(given) == 0
    assert files_of(tmp_path / "out") == files_of(made)


def test_a_model_without_its_parts_is_named_with_what_it_lacks(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(frames=8).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "unet").rename(tmp_path / "unet")
    line = one_line(replace(given, "--model", str(tmp_path / "model")), capsys)
    assert "lacks unet/" in line
    (tmp_path / "unet").rename(tmp_path / "model" / "unet")
    (tmp_path / "model" / "unet" / "config.json").unlink()
    assert one_line(replace(given, "--model", str(tmp_path / "model")), capsys)


def test_a_vae_of_another_scale_is_refused(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sd14(frames=8).save_pretrained(tmp_path / "model")
    other = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(4, 4, 4),
        norm_num_groups=2,
        latent_channels=4,
    )
    other.save_pretrained(tmp_path / "model" / "vae")
    line = one_line(replace(given, "--model", str(tmp_path / "model")), capsys)
    assert "the VAE makes images 4 times smaller, and the model was trained with one" in line


def test_options_that_contradict_each_other_are_named_together(given: list[str]) -> None:
    from idol.config.checks import ConfigError

    with pytest.raises(ConfigError, match="either as --driving or as --skeletons"):
        parse([*given, "--skeletons", "x"])
    with pytest.raises(ConfigError, match="--background-mask is of a --background"):
        parse([*given, "--background-mask", "x.png"])
    with pytest.raises(ConfigError, match=r"--frames must be from 2 .*, not 1"):
        parse([*given, "--frames", "1"])
    with pytest.raises(ConfigError, match="--no-watermark wants none"):
        parse([*given, "--watermark-every", "4"])
    with pytest.raises(ConfigError, match=r"--fps fast: is no number.*; --overlap 4 must be below"):
        parse([*given, "--fps", "fast", "--window", "4", "--overlap", "4"])
    with pytest.raises(ConfigError, match=r"--seed.*; .*a clip has its own"):
        parse(["data::key", *given[1:], "--seed", "-1"])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("d::k --driving d::k --person 2", "--person 2 is not used: nothing is annotated"),
        ("d::k --driving m.npy --pose lite --no-smooth", "--no-smooth is not used: nothing is"),
        ("d::k --skeletons drawn --sam vit_b", "--sam vit_b is not used: nothing is annotated"),
        ("d::k --driving v.mp4 --mask lite", "--mask lite is not used: a clip has its own mask"),
        ("p.jpg --driving v.mp4 --person-mask m.png --mask lite", "--person-mask gives the mask"),
    ],
)
def test_options_of_annotators_that_look_at_nothing_are_refused(command: str, said: str) -> None:
    from idol.config.checks import ConfigError

    with pytest.raises(ConfigError, match=said) as refused:
        parse([*command.split(), "--out", "o"])
    assert "leave it out" in str(refused.value)


@pytest.mark.parametrize(
    "command",
    [
        "d::k --driving d::k --pose-style dwpose",
        "d::k --driving v.mp4 --pose lite --person 2 --no-smooth",
        "p.jpg --driving d::k --mask lite --pose none",
    ],
)
def test_options_of_annotators_that_look_at_something_are_taken(command: str) -> None:
    parse([*command.split(), "--out", "o"])
