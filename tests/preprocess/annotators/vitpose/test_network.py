"""ViTPose is the library's own, joint by joint."""

import cv2
import numpy as np
import pytest
import torch
from transformers import AutoProcessor, VitPoseForPoseEstimation

from preprocess.annotators.spec import Hardware
from preprocess.annotators.vitpose.annotator import PoseModel
from preprocess.errors import InputError
from tests.preprocess.annotators.vitpose import small

FRAMES = [
    cv2.resize(spots, (160, 120))
    for spots in np.random.default_rng(2).integers(0, 256, (2, 9, 12, 3), np.uint8)
]
# Two people in the first frame, one in the second; one reaches beyond the frame.
WANTED = [
    (FRAMES[0], (10.0, 12.0, 60.0, 110.0)),
    (FRAMES[0], (90.5, 20.0, 130.0, 90.25)),
    (FRAMES[1], (100.0, 40.0, 165.0, 124.0)),
]


def published(folder, **inputs):
    """As the library's documentation does it: an image at a time, with all its boxes."""
    processor = AutoProcessor.from_pretrained(folder)
    model = VitPoseForPoseEstimation.from_pretrained(folder).eval()
    people = []
    for frame in FRAMES:
        boxes = [[[x0, y0, x1 - x0, y1 - y0] for f, (x0, y0, x1, y1) in WANTED if f is frame]]
        prepared = processor(frame, boxes=boxes, return_tensors="pt")
        with torch.no_grad():
            outputs = model(**prepared, **{k: v[: len(boxes[0])] for k, v in inputs.items()})
        people += processor.post_process_pose_estimation(outputs, boxes=boxes)[0]
    return people


@pytest.mark.parametrize("kind", ["simple", "classic", "++"])
def test_joints_are_the_librarys_own(tmp_path, kind):
    experts = 6 if kind == "++" else 1
    folder = small.save(tmp_path, experts=experts, simple=kind == "simple")
    more = {"dataset_index": torch.zeros(2, dtype=torch.int64)} if experts > 1 else {}
    expected = published(folder, **more)
    for batch in (1, 2, 3):
        found = PoseModel.load(folder, Hardware(half=True, batch=batch))(WANTED)
        assert len(found) == len(expected) == 3
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == np.float32
            # A joint on a flat peak goes with the maps' last bits, which differ by processor and
            # batch: by .03 pixels of 160 on one of two that were tried.
            np.testing.assert_allclose(ours[:, :2], theirs["keypoints"], atol=0.1)
            apart = np.abs(ours[:, :2] - np.asarray(theirs["keypoints"])).max(axis=1)
            assert np.median(apart) < 1e-3
            assert (apart > 1e-2).sum() <= 1
            np.testing.assert_allclose(ours[:, 2], theirs["scores"], atol=1e-4)
            assert np.ptp(ours[:, 0]) > 5  # joints are apart


def test_the_experts_are_those_of_coco(tmp_path):
    folder = small.save(tmp_path, experts=6)
    found = PoseModel.load(folder, Hardware(batch=2))(WANTED)
    other = published(folder, dataset_index=torch.full((2,), 3))
    assert abs(found[0][:, 2] - other[0]["scores"].numpy()).max() > 1e-2


def test_another_model_is_refused(tmp_path):
    folder = small.save(tmp_path, joints=21)
    with pytest.raises(InputError, match="finds 21 joints, not COCO's 17"):
        PoseModel.load(folder, Hardware(batch=1))
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="does not load"):
        PoseModel.load(folder, Hardware(batch=1))
