"""Boxes of people against upstream's own steps, with a small random GroundingDINO."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import nms

from preprocess.annotators.grounded_sam import detector
from preprocess.annotators.grounded_sam.detector import Detector, load_network
from preprocess.annotators.spec import Hardware
from preprocess.errors import InputError

SIDES = (64, 96)


@pytest.fixture(autouse=True)
def small_images(request, monkeypatch) -> None:
    if "slow" not in request.keywords:
        monkeypatch.setattr(detector, "SHORT_SIDE", SIDES[0])
        monkeypatch.setattr(detector, "LONG_SIDE", SIDES[1])


@pytest.fixture(scope="module")
def network(upstream, bert, detector_config):
    return load_network(upstream[1], bert, detector_config)


def predicted(network, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Upstream's recipe for one image: corners in pixels, scores, and the phrase of each box."""
    import groundingdino.datasets.transforms as T
    from groundingdino.util.utils import get_phrases_from_posmap

    transform = T.Compose(
        [
            T.RandomResize([SIDES[0]], max_size=SIDES[1]),
            T.ToTensor(),
            T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    image, _ = transform(Image.fromarray(frame), None)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = network(image[None], captions=["person."])
    scores = outputs["pred_logits"].sigmoid()[0]
    kept = scores.max(1).values > 0.30
    tokenized = network.tokenizer("person.")
    phrases = [
        get_phrases_from_posmap(row > 0.25, tokenized, network.tokenizer).replace(".", "")
        for row in scores[kept]
    ]
    x, y, w, h = outputs["pred_boxes"][0][kept].unbind(1)
    width, height = frame.shape[1], frame.shape[0]
    corners = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)
    corners *= torch.tensor([width, height, width, height])
    return corners.numpy(), scores[kept].max(1).values.numpy(), phrases


def test_the_loaded_network_is_the_saved_one(upstream, network):
    saved = upstream[0].state_dict()
    loaded = network.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(loaded[key], saved[key]) for key in saved)
    assert not network.training


def test_detections_are_upstreams(upstream, network, frames, monkeypatch):
    assert detector.SAME_PERSON == 0.8
    monkeypatch.setattr(detector, "SAME_PERSON", 0.5)  # random boxes overlap less
    detect = Detector(network, Hardware())
    dropped = duplicates = 0
    for found, frame in zip(detect(frames), frames, strict=True):
        boxes, scores, phrases = predicted(upstream[0], frame)
        people = np.array(["person" in phrase for phrase in phrases])
        dropped += sum(~people)
        boxes, scores = boxes[people], scores[people]
        unique = nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5).numpy()
        duplicates += len(boxes) - len(unique)
        assert 0 < len(unique) < 30
        np.testing.assert_allclose(found.scores, scores[unique], atol=1e-5)
        np.testing.assert_allclose(found.boxes, boxes[unique], atol=1e-3)
        assert (np.diff(found.scores) <= 0).all()
    # The case shows all three rules: phrases that are not the prompt, and boxes of one person.
    assert dropped > 0
    assert duplicates > 0


def test_a_frame_does_not_depend_on_its_batch(network, frames):
    together = Detector(network, Hardware(batch=3))(frames)
    alone = Detector(network, Hardware(batch=1))(frames)
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-3)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
    assert not np.array_equal(together[0].boxes, together[1].boxes)


def test_float16_passes_every_layer(network, frames, monkeypatch):
    """As on a GPU, whose autocast treats the same operations so; edges move by tenths of a pixel.

    All boxes count, for random ones lie close to the thresholds; on some processors roundings
    propose another one here and there.
    """
    monkeypatch.setattr(detector, "TEXT_THRESHOLD", 0.0)
    monkeypatch.setattr(detector, "SAME_PERSON", 1.0)
    exact = Detector(network, Hardware())(frames[:1])[0]
    monkeypatch.setattr(detector, "half_precision", lambda *_: torch.autocast("cpu", torch.float16))
    found = Detector(network, Hardware(half=True))(frames[:1])[0]
    assert len(found.boxes) == len(exact.boxes)
    nearest = np.abs(found.boxes[:, None] - exact.boxes[None]).max(2).min(1)
    assert 0 < np.median(nearest) < 0.3


def test_nobody_is_no_box(network, frames, monkeypatch):
    monkeypatch.setattr(detector, "BOX_THRESHOLD", 1.0)
    for found in Detector(network, Hardware())(frames):
        assert found.boxes.shape == (0, 4)
        assert found.scores.shape == (0,)


def test_another_networks_file_is_refused(upstream, bert, detector_config, tmp_path):
    state = torch.load(upstream[1], weights_only=True)["model"]
    del state["module.feat_map.bias"], state["module.bert.pooler.dense.bias"]
    state["module.neck.weight"] = torch.zeros(2)
    state["module.feat_map.weight"] = torch.zeros(2)
    path = tmp_path / "other.pth"
    torch.save({"model": state}, path)
    with pytest.raises(InputError) as refused:
        load_network(path, bert, detector_config)
    message = str(refused.value)
    assert "other.pth does not hold GroundingDINO" in message
    assert "2 tensors are missing, as bert.pooler.dense.bias" in message
    assert "1 tensors are not part of it, as neck.weight" in message
    assert "1 tensors have another shape, as feat_map.weight" in message
    assert "idol-prep weights fetch groundingdino" in message


def test_an_absent_package_is_named(upstream, bert, detector_config, monkeypatch):
    monkeypatch.setitem(sys.modules, "groundingdino.models", None)
    with pytest.raises(InputError, match="make install-paper"):
        load_network(upstream[1], bert, detector_config)


@pytest.mark.slow
def test_the_published_size_runs(bert, frames, tmp_path):
    from preprocess.annotators.grounded_sam.detector import published_config
    from tests.preprocess.annotators.grounded_sam import small

    whole = small.build_detector(bert, published_config())
    network = load_network(small.save_detector(whole, tmp_path / "swint.pth"), bert)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = torch.rand(1, 3, 256, 320)  # 900 queries need as many places
        expected = whole(image, captions=["person."])["pred_logits"]
        torch.testing.assert_close(network(image, captions=["person."])["pred_logits"], expected)
    (found,) = Detector(network, Hardware())(frames[:1])
    assert found.boxes.shape == (len(found.scores), 4)
