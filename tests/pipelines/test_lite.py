"""The whole slice on real footage: people become samples that mean what they say."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.cli import main
from preprocess.video import VideoFile
from shards.reader import open_dataset
from shards.sample.colormap import depth_to_hot
from shards.sample.keypoints import COCO_18
from shards.sample.posed import pose_of, reference_joints
from tests.pipelines.conftest import tree


@pytest.fixture(scope="module")
def source(tmp_path_factory, footage):
    """One video of a person, under a name with spaces and dots."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "a man. balancing.mp4").write_bytes(footage("cam01.mp4").read_bytes())
    return folder


def build(source, out, *more):
    return main(
        [
            *("build", "--dataset", "videos", "--source", str(source), "--out", str(out)),
            *("--clip-length", "4", "--stride", "30", "--limit", "2", "--size", "128", *more),
        ]
    )


@pytest.fixture(scope="module")
def dataset(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("lite") / "out"
    assert build(source, out, "--workers", "0", "--pose-style", "dwpose") == 0
    return open_dataset(out)


def test_samples_have_every_modality(dataset):
    for clip in dataset.clips():
        assert clip.modalities == (
            *("rgb", "mask", "pose", "keypoints", "depth_person", "depth_frame"),
            *("reference", "reference_mask", "background", "background_mask"),
        )
        assert clip.rgb.shape == (4, 128, 128, 3)
        assert clip.keypoints.shape == (4, 1, 134, 3)


def test_the_person_is_in_the_middle_and_in_the_mask(dataset):
    for clip in dataset.clips():
        share = (clip.mask > 127).mean()
        assert 0.05 < share < 0.5
        body = clip.keypoints[:, 0, :18]
        seen = body[..., 2] > 0.5
        assert seen.mean() > 0.8
        x, y = np.rint(body[seen][:, :2].clip(0, 127)).astype(int).T
        frame = np.nonzero(seen)[0]
        assert (clip.mask[frame, y, x] > 127).mean() > 0.8
        rows = np.nonzero(clip.mask.max(0).max(1) > 127)[0]
        assert rows[0] > 2
        assert rows[-1] < 125


def test_heads_are_up_and_sides_are_right(dataset):
    """He faces the camera: his right shoulder is on the image's left."""
    nose, right, left, hip = COCO_18.indices("nose", "right_shoulder", "left_shoulder", "left_hip")
    body = next(dataset.clips()).keypoints[0, 0]
    assert body[nose, 1] < body[right, 1] < body[hip, 1]
    assert body[right, 0] < body[left, 0]


def test_the_box_in_the_json_is_what_was_cut_out(dataset, footage):
    for clip in dataset.clips():
        x0, y0, x1, y1 = clip.info["crop"]["box"]
        (frame,) = VideoFile(footage("cam01.mp4")).read([clip.info["frame_indices"][2]])
        assert clip.info["source_size"] == [1080, 1920]
        by_hand = cv2.resize(frame.rgb[y0:y1, x0:x1], (128, 128), interpolation=cv2.INTER_AREA)
        assert np.abs(by_hand.astype(int) - clip.rgb[2]).mean() < 2  # JPEG, nothing else


def test_depth_is_of_the_person_alone_and_labelled(dataset):
    for clip in dataset.clips():
        inside = clip.mask > 127
        assert (clip.depth_person[~inside] == 1).all()
        assert clip.depth_person[inside].max() <= 0.7508
        assert (depth_to_hot(clip.depth_person)[~inside] == 255).all()
        np.testing.assert_allclose(clip.depth_person, clip.depth_frame, atol=8e-4)
        for modality in ("depth_person", "depth_frame"):
            described = clip.info["depth"][modality]
            assert described["label"] == "pose-derived, not measured"
            assert described["near"] < 0 < described["far"]
            assert clip.info["annotators"][modality]["name"] == "lite-depth"


def test_clips_of_a_video_share_its_range(dataset):
    ranges = {
        (c.info["depth"]["depth_person"]["near"], c.info["depth"]["depth_person"]["far"])
        for c in dataset.clips()
    }
    assert len(ranges) == 1


def test_the_background_is_the_reference_frame_in_the_clips_crop(dataset):
    first, second = dataset.clips()
    assert first.info["reference"]["frame"] == 0
    assert np.abs(first.background.astype(int) - first.rgb[0]).mean() < 2
    assert np.abs(first.background_mask.astype(int) - first.mask[0]).mean() < 2
    assert second.info["first_frame"] == 30
    assert (second.background_mask > 127).any()


def test_the_foreground_is_the_same_in_all_clips_and_holds_the_person_whole(dataset):
    first, second = dataset.clips()
    assert (first.reference == second.reference).all()
    described = first.info["reference"]
    assert described["person"] is True
    assert described["coverage"] == pytest.approx((first.reference_mask > 127).mean(), abs=1e-4)
    edges = first.reference_mask.copy()
    edges[4:-4, 4:-4] = 0  # a tenth of the person is around them
    assert not (edges > 127).any()
    assert 0.05 < described["coverage"] < 0.5


def test_the_joints_of_the_foreground_are_those_of_its_frame(dataset):
    """In the json of every clip; where the reference is a frame of the clip, as its key points
    say, to what another crop and smoothing make of them."""
    first, second = dataset.clips()
    poses, least = pose_of(first.keypoints, first.info)
    size = first.reference.shape[1]
    said = reference_joints(first.info, None, size)
    silent = {k: v for k, v in first.info["reference"].items() if k != "joints"}
    own = reference_joints({**first.info, "reference": silent}, poses, size)
    both = (said[:, 2] >= least) & (own[:, 2] >= least)
    assert both.sum() > 9
    assert np.abs(said - own)[both, :2].max() < 0.06 * size
    np.testing.assert_array_equal(reference_joints(second.info, None, size), said)


def test_a_camera_that_stands_still_has_a_background_that_does(dataset):
    for clip in dataset.clips():
        dx, dy = clip.info["reference"]["background_shift"]
        assert abs(dx) < 0.3
        assert abs(dy) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ray_workers_give_the_same_bytes(source, dataset, tmp_path, workers, ray_is_up):
    assert build(source, tmp_path / "out", "--workers", workers, "--pose-style", "dwpose") == 0
    assert tree(tmp_path / "out") == tree(dataset_root(dataset))


def dataset_root(dataset):
    return Path(next(iter(dataset.entries.values())).shard.url).parent.parent


def test_a_person_who_enters_late_is_the_reference(tmp_path, footage, make_video):
    """Empty frames first: the reference comes from where somebody is, and the json says so."""
    frames = [f.rgb for f in VideoFile(footage("cam01.mp4")).read(range(8))]
    small = [cv2.resize(f, (540, 960), interpolation=cv2.INTER_AREA) for f in frames]
    images = [np.full_like(small[0], 120)] * 8 + small
    make_video(tmp_path / "source" / "late.mp4", 16, width=540, height=960, images=images)
    options = ("--workers", "0", "--stride", "4", "--limit", "4", "--max-quarantine", "2")
    assert build(tmp_path / "source", tmp_path / "out", *options) == 0
    clips = list(open_dataset(tmp_path / "out").clips())
    assert [c.info["first_frame"] for c in clips] == [8, 12]
    for clip in clips:
        described = clip.info["reference"]
        assert described["frame"] == 8
        assert described["person"] is True
        assert (clip.reference_mask > 127).mean() > 0.05


def test_footage_without_people_is_quarantined_and_said(tmp_path, make_video, capsys):
    make_video(tmp_path / "source" / "empty street.mp4", 16, width=320, height=240)
    assert build(tmp_path / "source", tmp_path / "out", "--workers", "0") == 1
    shown = capsys.readouterr().out
    assert "a person was found in 0 of 4 frames" in " ".join(shown.split())
    assert "more than --max-quarantine 0" in " ".join(shown.split())
    manifest = json.loads((tmp_path / "out" / "train" / "shard-00000.json").read_text())
    assert (manifest["samples"], len(manifest["quarantined"])) == ([], 1)
    again = ("--workers", "0", "--max-quarantine", "1")
    assert build(tmp_path / "source", tmp_path / "out", *again) == 0


def test_without_a_threshold_such_clips_are_kept(tmp_path, make_video):
    make_video(tmp_path / "source" / "empty.mp4", 16, width=320, height=240)
    options = ("--workers", "0", "--min-person-frames", "0")
    assert build(tmp_path / "source", tmp_path / "out", *options) == 0
    (clip,) = open_dataset(tmp_path / "out").clips()
    assert clip.info["person_frames"] == [False] * 4
    assert not clip.mask.any()
    assert not clip.pose.any()
    assert (clip.depth_person == 1).all()
