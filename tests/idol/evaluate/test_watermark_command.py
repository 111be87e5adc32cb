"""`idol-eval watermark` tells marked files from others, and says what it could not read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.evaluate.cli import main
from idol.evaluate.watermark import measured
from idol.generate.outputs import write_outputs
from idol.generate.watermark import ALARM, Watermark
from idol.mp4 import spread
from tests.idol.generate.pictures import generated_clip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_outputs(folder / "out", generated_clip(2), {}, watermark=Watermark.load())
    shutil.copy(folder / "out/video.mp4", folder / "marked.mp4")
    shutil.copy(folder / "out/depth.mp4", folder / "depth.mp4")
    return folder


def test_a_marked_video_is_told_from_another(made, capsys):
    assert main(["watermark", str(made / "marked.mp4"), str(made / "depth.mp4"), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    marked, depth = result["files"]
    assert result["message"] == "IDOL"
    assert marked["marked"]
    assert marked["mark"]["p_value"] < ALARM
    assert marked["mark"]["frames"] == 2
    assert not depth["marked"]
    assert marked["generated"]
    assert depth["generated"]


def test_a_folder_is_looked_through_and_the_rate_of_false_alarms_is_said(made, tmp_path, capsys):
    shutil.copy(made / "marked.mp4", tmp_path / "a.mp4")
    for name in ("notes.txt", "._a.mp4"):
        (tmp_path / name).write_text("no picture")
    assert main(["watermark", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "a.mp4" in said
    assert "notes.txt" in said
    alarms = measured()["unmarked"]
    assert f"Of {alarms['frames']} unmarked frames {alarms['false_alarms']}" in said


def test_names_and_signers_are_shown_as_they_are(made, tmp_path, capsys, monkeypatch):
    shutil.copy(made / "marked.mp4", tmp_path / "a[bold]b.mp4")
    (tmp_path / "c[bold]d.txt").write_text("no picture")
    claim = {"issuer": "[/somebody]", "state": "Valid", "generated": True}
    monkeypatch.setattr("idol.evaluate.watermark.signed_by", lambda file: claim)
    assert main(["watermark", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for shown in ("a[bold]b.mp4", "c[bold]d.txt", "[/somebody]"):
        assert shown in said


@pytest.mark.slow
def test_images_of_all_kinds_are_read(tmp_path):
    grey = np.full((40, 40), 128, np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "photo.JPG"), np.dstack([grey] * 3))
    cv2.imwrite(str(tmp_path / "clear.webp"), np.dstack([grey] * 4))
    assert main(["watermark", str(tmp_path)]) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", b"no video", "a.mp4 cannot be read as a video"),
        ("a.png", b"no image", "a.png cannot be read as an image"),
        ("a.mp4", b"", "a.mp4 cannot be read as a video"),
        ("folder/a.txt", b"text", "folder holds no video and no image"),
        (None, b"", "there is no"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, capsys, name, content, message):
    path = tmp_path / (name or "absent.mp4")
    if name:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    given = path.parent if "/" in (name or "") else path
    assert main(["watermark", str(given)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_no_file_at_all_is_not_taken_for_files_that_are_all_marked(capsys):
    assert main(["watermark"]) == 2
    assert "give the videos and images to look at" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 100, 1000])
def test_frames_are_spread_evenly_and_meet_marks_every_eight(count):
    frames = spread((np.full((1, 1, 3), i % 256) + i // 256 * 256 for i in range(count)), 8)
    at = [int(frame[0, 0, 0]) for frame in frames]
    assert at[0] == 0
    assert min(8, count) // 2 <= len(at) <= 8
    assert len(set(np.diff(at))) <= 1
    assert at[-1] >= count // 2 or count < 3
    apart = at[1] - at[0] if len(at) > 1 else 1
    assert apart & (apart - 1) == 0


def test_no_false_alarm_was_measured_in_five_hundred_frames():
    alarms = measured()["unmarked"]
    assert alarms["frames"] >= 500
    assert alarms["false_alarms"] == 0
    assert alarms["bound"] < 0.006


def test_help_answers_without_heavy_libraries():
    code = (
        "import sys, idol.evaluate.cli; print('onnxruntime' in sys.modules, 'cv2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
