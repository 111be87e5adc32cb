"""Masks against `SamPredictor` on the same boxes, with a small random SAM."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from preprocess.annotators.grounded_sam.segmenter import Segmenter, load_network
from preprocess.annotators.spec import Hardware
from preprocess.errors import InputError
from tests.preprocess.annotators.grounded_sam import small


def predicted(sam, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(B, H, W) bool from the package's own predictor."""
    from segment_anything import SamPredictor

    predictor = SamPredictor(sam)
    predictor.set_image(frame)
    prompts = predictor.transform.apply_boxes_torch(torch.from_numpy(boxes), frame.shape[:2])
    masks, _, _ = predictor.predict_torch(None, None, prompts, multimask_output=False)
    return masks[:, 0].numpy()


BOXES = [
    np.array([[10, 12, 60, 80]], np.float32),
    np.array([[4.5, 3.25, 40, 60], [50, 20, 119, 88.5]], np.float32),
    np.array([[30, 5, 90, 70]], np.float32),
]


@pytest.mark.parametrize("batch", [1, 2, "auto"])
def test_masks_are_the_predictors(sam, frames, batch):
    masks = Segmenter(sam, Hardware(batch=batch))(frames, BOXES)
    assert masks.dtype == bool
    for mask, frame, boxes in zip(masks, frames, BOXES, strict=True):
        each = predicted(sam, frame, boxes)
        np.testing.assert_array_equal(mask, each.any(0))
        assert 0.01 < mask.mean() < 0.99


def test_a_crowd_is_decoded_in_parts(sam, frames):
    corners = np.random.default_rng(0).uniform((0, 0), (60, 45), (37, 2))
    boxes = np.hstack([corners, corners + (55, 40)]).astype(np.float32)
    mask = Segmenter(sam, Hardware())(frames[:1], [boxes])[0]
    np.testing.assert_array_equal(mask, predicted(sam, frames[0], boxes).any(0))


def test_frames_without_boxes_are_empty_and_cost_nothing(sam, frames):
    nobody = np.zeros((0, 4), np.float32)
    encoded = []
    hook = sam.image_encoder.register_forward_hook(
        lambda _, inputs, output: encoded.append(len(output))
    )
    masks = Segmenter(sam, Hardware())(frames, [nobody, BOXES[1], nobody])
    hook.remove()
    assert encoded == [1]
    assert masks.any((1, 2)).tolist() == [False, True, False]
    assert not Segmenter(sam, Hardware())(frames, [nobody] * 3).any()


def test_the_file_must_be_of_the_size(sam, tmp_path, monkeypatch):
    path = small.save_sam(sam, tmp_path / "sam.pth")
    monkeypatch.setitem(
        sys.modules["segment_anything"].sam_model_registry, "vit_b", small.build_sam
    )
    loaded = load_network(path, "vit_b").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in sam.state_dict().items())

    state = {key: value for key, value in sam.state_dict().items() if "neck" not in key}
    torch.save(state, path)
    with pytest.raises(InputError, match=r"sam\.pth does not hold SAM's vit_b model: .*neck"):
        load_network(path, "vit_b")


def test_an_absent_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(InputError, match="make install-paper"):
        load_network(tmp_path / "sam.pth", "vit_b")


@pytest.mark.slow
def test_the_published_size_is_unchanged(frames, tmp_path):
    """ViT-B through its file, against the predictor of the network that was saved."""
    from segment_anything import sam_model_registry

    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]()
    path = small.save_sam(sam, tmp_path / "sam_vit_b.pth")
    masks = Segmenter(load_network(path, "vit_b"), Hardware())(frames[:1], BOXES[:1])
    np.testing.assert_array_equal(masks[0], predicted(sam, frames[0], BOXES[0])[0])
