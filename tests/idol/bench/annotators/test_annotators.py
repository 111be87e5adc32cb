"""`idol-bench annotators`: the truth compared with itself, what the json says, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.bench.annotators.entries import find_entries
from idol.bench.annotators.report import OWN_SPEC
from idol.bench.annotators.truth import ATTRIBUTES, attributes
from idol.bench.cli import main
from preprocess.errors import InputError
from preprocess.sources.people.spec import load_spec
from preprocess.truth import TrueCamera, Truth
from shards.sample.keypoints import COCO_18

SPEC = """
videos: 3
seed: 3
width: 64
height: 64
frames: 3
two_people: 0.7
stages: {studio: 1}
"""
ITSELF = ("--mask", "source", "--pose", "source", "--depth", "source")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "few.yaml"
    path.write_text(SPEC)
    return path


@pytest.mark.slow
def test_the_truth_is_perfect_and_all_figures_follow_from_the_frames(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, worst = tmp_path / "found.json", tmp_path / "worst"
    arguments = ["--source", str(spec), "--json", str(out), "--worst", str(worst), *ITSELF]
    assert main(["annotators", *arguments]) == 0
    assert "PCK@0.1" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["spec"]["videos"] == 3
    by = {one["option"]: one for one in found["annotators"]}
    assert {one["name"] for one in by.values()} == {"source"}
    assert by["pose"]["all"]["pck_05"] == 1
    assert by["pose"]["all"]["jitter"] == 0
    assert by["mask"]["all"]["iou"] == 1
    assert by["mask"]["all"]["boundary_f"] == 1
    # Depth is that of a dataset: a finger beyond the survey's range is clamped to it.
    assert by["depth"]["all"]["error_cm"] < 0.05
    assert by["depth"]["all"]["covered"] == 1
    for one in by.values():
        rows = one["of_each_frame"]
        assert one["frames"] == len(rows) == 9
        assert one["frames_a_second"] > 0
        for attribute, values in ATTRIBUTES.items():
            assert sum(part["frames"] for part in one["by"][attribute].values()) == len(rows)
            for value, part in one["by"][attribute].items():
                assert value in values
                of = [row for row in rows if row[attribute] == value]
                for name, figure in part.items():
                    known = [row[name] for row in of if row.get(name) is not None]
                    if name in of[0] and figure is not None:
                        assert figure == pytest.approx(np.mean(known), abs=2e-6)
    for option in by:
        sheet = cv2.imread(str(worst / f"{option}-source.png"))
        assert sheet is not None  # three clips, a row of tiles each
        assert sheet.shape[:2] == (3 * (256 + 18), 256 * (4 if option == "depth" else 3))


def test_the_same_people_whatever_is_compared_and_others_by_another_seed(
    spec: Path, tmp_path: Path
) -> None:
    def kinds(*more: str) -> list[tuple[str, ...]]:
        out = tmp_path / "found.json"
        arguments = ["--source", str(spec), "--videos", "1", "--json", str(out), *more]
        assert main(["annotators", *arguments]) == 0
        (one,) = json.loads(out.read_text())["annotators"]
        return [tuple(row[name] for name in ATTRIBUTES) for row in one["of_each_frame"]]

    poses = ("--pose", "source", "--mask", "none", "--depth", "none")
    masks = ("--mask", "source", "--pose", "none", "--depth", "none")
    assert kinds(*poses) == kinds(*masks)
    assert kinds(*poses) != kinds(*poses, "--seed", "8")


def _standing() -> Truth:
    """Somebody three metres away who faces the camera, all of whom is seen, 80 pixels high."""
    space = np.zeros((1, 134, 3), np.float32)
    space[..., 2] = 3
    for joint, name in enumerate(COCO_18.joints):
        heights = {"hip": 0.9, "knee": 0.5, "ankle": 0.1, "shoulder": 1.4}
        side = 0.15 * (name.startswith("left_") - name.startswith("right_"))
        space[0, joint, :2] = side, -heights.get(name.partition("_")[2], 1.5)
    masks = np.zeros((1, 128, 128), np.uint8)
    masks[0, 20:100, 50:80] = 255
    camera = TrueCamera(100.0, (64, 64), np.eye(3), np.zeros(3))
    nothing = np.zeros((128, 128), np.float32)
    return Truth(
        masks,
        np.ones((1, 134, 3), np.float32),
        space,
        np.zeros((1, 134), bool),
        nothing[None],
        nothing,
        np.zeros((128, 128, 3), np.float32),
        camera,
    )


WEARS = {"top": "t-shirt", "bottom": "trousers", "loose": 0.5}


def test_what_kind_of_frame_it_is() -> None:
    truth = _standing()
    about = {"people": [WEARS]}
    assert attributes(truth, about) == {
        "height": "60-90 px",
        "distance": "2.5-4.5 m",
        "hidden": "under 1/8",
        "facing": "towards",
        "posture": "upright",
        "clothes": "close",
        "people": "one",
    }
    truth.space[0, :, [0, 2]] *= -1  # seen from behind, at -3 m
    truth.space[0, :, 2] += 11
    truth.hidden[0, :9] = True
    knees = COCO_18.indices("right_knee", "left_knee")
    truth.space[0, knees] += [0, -0.4, -0.4]
    changed = attributes(truth, {"people": [{**WEARS, "bottom": "skirt"}]})
    assert changed == {
        "height": "60-90 px",
        "distance": "over 4.5 m",
        "hidden": "over 3/8",
        "facing": "away",
        "posture": "crouching",
        "clothes": "loose",
        "people": "one",
    }
    assert attributes(truth, {"people": [{**WEARS, "loose": 1.2}]})["clothes"] == "loose"


def test_the_commands_own_people() -> None:
    spec = load_spec(OWN_SPEC)
    assert spec.frames == 16
    assert set(spec.stages) == {"room", "outdoors", "studio"}


def test_who_is_not_installed_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDOL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="no annotator is installed"):
        find_entries({"mask": None, "pose": None, "depth": None})
    entries, left_out = find_entries({"mask": None, "pose": ("source",), "depth": None})
    assert [(one.option, one.name) for one in entries] == [("pose", "source")]
    named = {(one.option, one.name): one.reason for one in left_out}
    assert "idol-prep weights fetch" in named["mask", "lite"]
    assert named["depth", "hf"].startswith("say which: --depth hf:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--videos", "0"], "--videos must be from 1 to 1000000, not 0"),
        (["--pose", "lit"], "--pose lit: pose must be lite, openpose"),
        (["--depth", "hf"], "--depth hf: say which: --depth hf:MODEL_OR_FOLDER"),
        (["--mask"], "--mask is empty: name annotators, or leave it out"),
        (["--mask", "none", "--pose", "none", "--depth", "none"], "nothing is left to compare"),
        (["--json", "nowhere/found.json"], "nowhere is no folder"),
        (["--json", "."], ". is there, and is no file: name a file"),
        (["--worst", __file__], "test_annotators.py is there, and is no folder: name a folder"),
        (["--source", "absent.yaml"], "absent.yaml: No such file or directory"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["annotators", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("idol-bench: ")
    assert said in err
    assert err.count("\n") == 1
