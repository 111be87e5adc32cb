"""Builds with a model of the hub, a folder of it, or a program: what users name themselves."""

from __future__ import annotations

import hashlib
import json

import pytest

from pipelines import cli
from shards.inspect.verify import verify
from shards.reader import open_dataset
from tests.pipelines import paper_files
from tests.preprocess.annotators.sam3 import small as sam3
from tests.preprocess.annotators.vitpose import small as vitpose


@pytest.fixture(scope="module")
def tiktok(tmp_path_factory, footage):
    return paper_files.tiktok(tmp_path_factory.mktemp("source"), footage("cam01.mp4"))


@pytest.fixture
def prep(tmp_path, tiktok):
    """prep(option, ...) builds two-frame clips: a code, the `dataset.json` and the clips."""

    def run(*said, dataset="tiktok", source=tiktok):
        out = tmp_path / "out"
        code = cli.main(
            ["build", "--dataset", dataset, "--source", str(source), "--out", str(out)]
            + ["--clip-length", "2", "--size", "64", "--workers", "0", "--crop", "center", *said]
        )
        if code:
            return code, {}, []
        assert not list(verify(str(out)))
        return code, json.loads((out / "dataset.json").read_text()), list(open_dataset(out).clips())

    return run


def sums(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_vitpose_poses_whom_the_mask_shows(prep, tmp_path):
    folder = vitpose.save(tmp_path / "small-vitpose")
    said = ["--mask", "source", "--pose", f"vitpose:{folder}", "--depth", "none"]
    code, info, clips = prep(*said)
    assert code == 0
    made = info["recipe"]["annotators"]
    assert made["pose"]["name"] == info["recipe"]["pose"] == "vitpose:small-vitpose"
    assert made["pose"]["weights"] == sums(folder)
    assert "person" not in made  # nobody asks for the lite tracker
    assert {"torch", "transformers"} <= set(info["software"])
    assert len(clips) == 3
    for clip in clips:
        assert clip.keypoints.shape == (2, 1, 134, 3)
        assert clip.keypoints[:, 0, :18, 2].any()
        assert not clip.keypoints[:, 0, 18:, 2].any()
        assert clip.pose.any()


def test_vitpose_poses_whom_the_tracker_follows_where_there_is_no_mask(prep, tmp_path, footage):
    source = tmp_path / "videos"
    source.mkdir()
    (source / "one.mp4").symlink_to(footage("cam01.mp4"))
    folder = vitpose.save(tmp_path / "small-vitpose")
    said = ["--mask", "none", "--pose", f"vitpose:{folder}", "--depth", "none", "--limit", "1"]
    code, info, (clip,) = prep(*said, dataset="videos", source=source)
    assert code == 0
    assert list(info["recipe"]["annotators"]) == ["person", "pose"]
    assert clip.info["person_frames"] == [True, True]
    assert clip.keypoints[..., 2].any((1, 2)).all()


def test_vitpose_by_its_name_alone_says_what_to_fetch(prep, capsys):
    """Tests are offline."""
    assert prep("--mask", "source", "--pose", "vitpose")[0] == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--pose vitpose:usyd-community/vitpose-base-simple is not in the hub's cache" in said
    assert "copy the model's folder there and give --pose vitpose:FOLDER" in said


def test_sam3_masks_people_and_tells_its_licence(prep, tmp_path):
    folder = sam3.save(tmp_path / "small-sam3", seed=3)
    code, info, clips = prep("--mask", f"sam3:{folder}", "--pose", "none", "--depth", "none")
    assert code == 0
    made = info["recipe"]["annotators"]
    assert made["mask"]["name"] == info["recipe"]["mask"] == "sam3:small-sam3"
    assert made["mask"]["weights"] == sums(folder)
    assert list(made) == ["mask"]
    (notice,) = info["extras"]["notices"]
    assert notice == made["mask"]["notice"]
    assert "SAM License" in notice
    assert len(clips) == 3
    for clip in clips:
        assert (clip.mask > 127).any((1, 2)).all()
        assert clip.info["person_frames"] == [True, True]


def test_all_of_sam3s_people_are_posed(prep, tmp_path):
    masks = sam3.save(tmp_path / "small-sam3", seed=1)
    pose = vitpose.save(tmp_path / "small-vitpose")
    said = ["--mask", f"sam3:{masks}", "--pose", f"vitpose:{pose}", "--depth", "none"]
    code, _, clips = prep(*said, "--people", "all", "--min-person-frames", "0")
    assert code == 0
    assert max(clip.keypoints.shape[1] for clip in clips) > 1


def test_sam3_by_its_name_alone_says_what_to_fetch(prep, capsys):
    """Tests are offline."""
    assert prep("--mask", "sam3")[0] == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--mask sam3:facebook/sam3 is not in the hub's cache" in said
    assert "accept a licence, do so and set HF_TOKEN" in said
