"""SAM 3 is the library's own, frame by frame."""

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import Sam3VideoModel, Sam3VideoProcessor

from preprocess.annotators.sam3.annotator import VideoSegmenter
from preprocess.annotators.spec import Hardware
from preprocess.errors import InputError
from tests.preprocess.annotators.sam3 import small

FRAMES = [
    cv2.resize(spots, (80, 60))
    for spots in np.random.default_rng(2).integers(0, 256, (4, 6, 8, 3), np.uint8)
]


def published(folder, frames=FRAMES):
    """As the library's documentation does it."""
    model = Sam3VideoModel.from_pretrained(folder).eval()
    processor = Sam3VideoProcessor.from_pretrained(folder)
    session = processor.init_video_session(video=frames, inference_device="cpu")
    processor.add_text_prompt(inference_session=session, text="person")
    found = {}
    for outputs in model.propagate_in_video_iterator(inference_session=session):
        found[outputs.frame_idx] = processor.postprocess_outputs(session, outputs)
    return [found[number] for number in range(len(frames))]


# To one network somebody stays through the clip; to the other many come and go.
@pytest.mark.parametrize(("seed", "most"), [pytest.param(3, 1, marks=pytest.mark.slow), (1, 9)])
def test_masks_are_the_librarys_own(tmp_path, seed, most):
    folder = small.save(tmp_path, seed=seed)
    segment = VideoSegmenter.load(folder, Hardware(half=True))
    expected = published(folder)
    for _ in range(2):  # a clip leaves nothing behind
        found = segment(FRAMES)
        assert len(found) == len(FRAMES)
        for ours, theirs in zip(found, expected, strict=True):
            assert list(ours) == theirs["object_ids"].tolist()
            for mask, other in zip(ours.values(), theirs["masks"].numpy(), strict=True):
                assert mask.shape == (60, 80)
                assert mask.dtype == bool
                np.testing.assert_array_equal(mask, other)
        assert max(map(len, found)) == most


def test_a_single_frame_is_a_clip_too(tmp_path):
    folder = small.save(tmp_path, seed=3)
    (found,) = VideoSegmenter.load(folder, Hardware())(FRAMES[:1])
    (expected,) = published(folder, FRAMES[:1])
    assert list(found) == expected["object_ids"].tolist()
    np.testing.assert_array_equal(list(found.values()), expected["masks"])


@pytest.mark.slow
def test_the_precision_of_gpus_finds_the_same_people(tmp_path):
    """What runs there, here on the CPU."""
    segment = VideoSegmenter.load(small.save(tmp_path, seed=1), Hardware())
    with torch.autocast("cpu", torch.bfloat16):
        found = segment(FRAMES)
    assert [list(there) for there in found] == [list(there) for there in segment(FRAMES)]


def test_weights_of_something_else_are_refused(tmp_path):
    folder = small.save(tmp_path, seed=3)
    save_file({"weight": torch.ones(2)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"the weights of SAM 3 in .* lack \d+ tensors"):
        VideoSegmenter.load(folder, Hardware())
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"SAM 3 in .* does not load"):
        VideoSegmenter.load(folder, Hardware())
