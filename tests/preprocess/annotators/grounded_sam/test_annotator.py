from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.grounded_sam import detector
from preprocess.annotators.grounded_sam.annotator import Detections, GroundedSam
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Hardware
from preprocess.crop import Crop
from tests.preprocess.annotators.grounded_sam import small

CROP = Crop("center", 20, 10, 64, 32)
HEIGHT, WIDTH = 90, 120


def scene(frames: list[np.ndarray], crop: Crop = CROP) -> Scene:
    return Scene(tuple(frames), (), crop, fps=30.0)


def annotator(
    boxes: list[list[tuple[int, int, int, int]]],
    *,
    people: str = "one",
    person: str = "largest",
    smooth: bool = False,
) -> GroundedSam:
    """One whose detector sees `boxes`, and whose segmenter fills its boxes."""

    def detect(frames):
        return [
            Detections(np.array(b, np.float32).reshape(-1, 4), np.ones(len(b), np.float32))
            for b in boxes
        ]

    def segment(frames, prompts):
        masks = np.zeros((len(frames), HEIGHT, WIDTH), bool)
        for mask, found in zip(masks, prompts, strict=True):
            for x0, y0, x1, y1 in np.rint(found).astype(int):
                mask[y0:y1, x0:x1] = True
        return masks

    return GroundedSam(detect, segment, people=people, person=person, smooth=smooth)


def test_masks_come_to_the_clips_square_as_its_frames_do(frames):
    """The square begins at (20, 10) and a pixel of the clip is two by two of the source."""
    masks = annotator([[(30, 20, 51, 60)]]).masks(scene(frames[:1])).clip
    assert masks.shape == (1, 32, 32)
    assert masks.dtype == np.uint8
    expected = np.zeros((32, 32))
    expected[5:25, 5:15] = 255
    expected[5:25, 15] = 127.5  # half covered
    np.testing.assert_allclose(masks[0], expected, atol=0.5)


def test_one_or_all(frames):
    boxes = [[(30, 20, 50, 40), (60, 30, 80, 60)]]
    one = annotator(boxes).masks(scene(frames[:1])).clip[0]
    everyone = annotator(boxes, people="all").masks(scene(frames[:1])).clip[0]
    assert (one > 0).sum() == 10 * 15
    assert (everyone > 0).sum() == 10 * 15 + 10 * 10


def test_boxes_are_those_of_the_people_who_were_cut_out(frames):
    boxes = [[(30, 20, 50, 40), (60, 30, 80, 60)]]
    (there,) = annotator(boxes).masks(scene(frames[:1])).boxes
    assert there == ((60.0, 30.0, 80.0, 60.0),)  # in the source's pixels


def test_frames_without_anybody_are_empty(frames):
    masks = annotator([[], [(30, 20, 50, 40)], []]).masks(scene(frames)).clip
    assert masks.any((1, 2)).tolist() == [False, True, False]


def test_smoothing_bridges_one_missing_frame(frames):
    boxes = [[(30, 20, 50, 60)], [], [(34, 20, 54, 60)]]
    plain = annotator(boxes).masks(scene(frames)).clip
    smooth = annotator(boxes, smooth=True).masks(scene(frames)).clip
    assert not plain[1].any()
    expected = annotator([[(32, 20, 52, 60)]]).masks(scene(frames[:1])).clip[0]
    np.testing.assert_array_equal(smooth[1], expected)


@pytest.fixture(scope="module")
def weights(upstream, sam, bert) -> Path:
    """A folder of external files in the published formats, with small networks in them."""
    folder = bert.parent
    small.save_detector(upstream[0], folder / "groundingdino" / "groundingdino_swint_ogc.pth")
    small.save_sam(sam, folder / "sam" / "sam_vit_l_0b3195.pth")
    return folder


def test_from_files_to_masks(weights, detector_config, frames, monkeypatch):
    import segment_anything

    # The published architectures have one size each; everything else is as with them.
    monkeypatch.setattr(detector, "published_config", lambda: detector_config)
    monkeypatch.setattr(detector, "SHORT_SIDE", 64)
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_l", small.build_sam)
    asked = []

    def locate(file) -> Path:
        asked.append(file.name)
        return weights / file.name

    choice = AnnotatorChoice(
        "grounded-sam", "none", ("none",), sam="vit_l", people="all", smooth_masks=True
    )
    chosen = choice.chosen["mask"]
    made = chosen.load(locate, Hardware(half=True, batch=2))
    assert sorted(asked) == sorted(file.name for file in chosen.files)
    assert sorted(asked) == [
        "bert/config.json",
        "bert/tokenizer.json",
        "bert/tokenizer_config.json",
        "bert/vocab.txt",
        "groundingdino/groundingdino_swint_ogc.pth",
        "sam/sam_vit_l_0b3195.pth",
    ]
    masks = made.masks(scene(frames, dataclasses.replace(CROP, size=48))).clip
    assert masks.shape == (3, 48, 48)
    assert masks.dtype == np.uint8
    assert masks.any((1, 2)).all()
