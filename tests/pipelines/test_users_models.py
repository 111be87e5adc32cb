"""Builds with a model of the hub, a folder of it, or a program: what users name themselves."""

from __future__ import annotations

import hashlib
import json

import cv2
import numpy as np
import pytest

from pipelines import cli
from preprocess.annotators.densepose.annotator import DensePoseProgram
from preprocess.annotators.hdnet import weights_file
from shards.inspect.verify import verify
from shards.reader import open_dataset
from tests.pipelines import paper_files
from tests.preprocess.annotators.densepose import small as densepose
from tests.preprocess.annotators.sam3 import small as sam3
from tests.preprocess.annotators.vitpose import small as vitpose


@pytest.fixture(scope="module")
def tiktok(tmp_path_factory, footage):
    return paper_files.tiktok(tmp_path_factory.mktemp("source"), footage("cam01.mp4"))


@pytest.fixture
def prep(tmp_path, tiktok):
    """prep(option, ...) builds two-frame clips: a code, the `dataset.json` and the clips."""

    def run(*said, dataset="tiktok", source=tiktok, out="out"):
        out = tmp_path / out
        code = cli.main(
            ["build", "--dataset", dataset, "--source", str(source), "--out", str(out)]
            + ["--clip-length", "2", "--size", "64", "--workers", "0", "--crop", "center"]
            + ["--clip-timeout", "0", *said]  # networks of this process
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
    said = ["--mask", f"sam3:{folder}", "--pose", "none", "--depth", "none"]
    code, info, clips = prep(*said, "--no-check-poses")  # random networks mask no person's shape
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


@pytest.fixture
def dancer(tmp_path, write_image):
    """TikTok's layout without DensePose: somebody blue who moves, and their mask."""
    root = tmp_path / "dancer"
    noise = np.random.default_rng(4).integers(0, 100, (4, 64, 48, 3), np.uint8)
    for number, image in enumerate(noise, 1):
        person = np.zeros((64, 48), np.uint8)
        cv2.ellipse(person, (20 + 2 * number, 32), (9, 22), 0, 0, 360, 255, -1)
        image[person > 0, 2] += 130
        write_image(root / "00001" / "images" / f"{number:04d}.png", image)
        write_image(root / "00001" / "masks" / f"{number:04d}.png", np.dstack([person] * 3))
    return root


@pytest.fixture
def hdnet(tmp_path, monkeypatch):
    """A folder of external files with a small HDNet."""
    monkeypatch.setattr(weights_file._Network, "build", paper_files._convolution_of)
    paper_files._write_hdnet(tmp_path / "weights", paper_files._convolution)
    return tmp_path / "weights"


def test_a_densepose_program_is_as_good_as_its_images(
    prep, dancer, hdnet, tmp_path, write_image, capsys
):
    program = densepose.save(tmp_path / "densepose.pt")
    find = DensePoseProgram(program, "cpu")
    for path in sorted((dancer / "00001" / "images").iterdir()):
        iuv = find(cv2.imread(str(path))[..., ::-1])
        assert (iuv[..., 2] > 0).sum() > 400
        write_image(tmp_path / "images" / "00001" / path.name, iuv)

    def build(*said):
        wanted = ["--mask", "source", "--pose", "none", "--depth", "hdnet"]
        code, info, clips = prep(
            *wanted, "--weights", str(hdnet), *said, source=dancer, out=said[-1].replace("/", "")
        )
        assert code == 0
        assert len(clips) == 2
        return info, clips

    by_images, drawn = build("--densepose", str(tmp_path / "images"))
    by_program, found = build("--densepose", str(program))
    _, bare = build("--depth", "hdnet")
    for a, b, c in zip(found, drawn, bare, strict=True):
        np.testing.assert_array_equal(a.depth_person, b.depth_person)
        assert (a.depth_person != c.depth_person).any()
        assert a.info["depth"]["depth_person"]["densepose"] is True
        assert c.info["depth"]["depth_person"]["densepose"] is False
    assert "densepose" not in by_images["recipe"]["annotators"]
    made = by_program["recipe"]["annotators"]["densepose"]
    assert made["name"] == "densepose:densepose.pt"
    assert made["weights"] == {"densepose.pt": hashlib.sha256(program.read_bytes()).hexdigest()}
    assert by_program["extras"]["notices"] == []  # nothing is lacking


def test_a_densepose_that_is_not_there(prep, dancer, hdnet, capsys):
    said = ["--mask", "source", "--pose", "none", "--depth", "hdnet", "--weights", str(hdnet)]
    assert prep(*said, "--densepose", "gone.pt", source=dancer)[0] == 2
    assert "--densepose gone.pt does not exist" in " ".join(capsys.readouterr().err.split())
