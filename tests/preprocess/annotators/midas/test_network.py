"""MiDaS' numbers are those of the published network behind the published preprocessing."""

import numpy as np
import pytest
import torch

from preprocess.annotators.choices import AnnotatorChoice
from preprocess.annotators.midas.network import Midas, build_dpt_hybrid, network_size
from preprocess.annotators.midas.spec import WEIGHTS
from preprocess.annotators.scene import Scene
from preprocess.annotators.spec import Hardware
from preprocess.annotators.torch.loading import import_controlnet_aux
from preprocess.crop import Crop
from preprocess.errors import InputError
from tests.preprocess.small_files import random_state, write

(TRANSFORMS,) = import_controlnet_aux("midas.midas.transforms")


def published_input(frame):
    """(3, h, w) float32 by the package's own transforms, chained as MiDaS chains them."""
    sample = {"image": frame / 255.0}
    steps = [
        TRANSFORMS.Resize(384, 384, None, True, 32, "minimal", 2),  # 2: cubic
        TRANSFORMS.NormalizeImage([0.5] * 3, [0.5] * 3),
        TRANSFORMS.PrepareForNet(),
    ]
    for step in steps:
        sample = step(sample)
    return sample["image"]


def published_output(module, frame):
    with torch.no_grad():
        inverse = module(torch.from_numpy(published_input(frame))[None])
        full = torch.nn.functional.interpolate(
            inverse[:, None], frame.shape[:2], mode="bicubic", align_corners=False
        )
    return full[0, 0].numpy()


def frames_of(count, height, width):
    return tuple(np.random.default_rng(5).integers(0, 256, (count, height, width, 3), np.uint8))


class Small(torch.nn.Module):
    """In the network's place: looks at what it is given, and answers at its size."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 1, 3, padding=1)
        self.seen = []

    def forward(self, images):
        self.seen.extend(images)
        return self.convolution(images).squeeze(1).relu()


def small(batch=2):
    torch.manual_seed(0)
    return Midas(Small(), Hardware(batch=batch))


@pytest.mark.parametrize(("height", "width"), [(1080, 604), (270, 480), (384, 384), (100, 40)])
def test_frames_are_prepared_as_published(height, width):
    midas = small()
    frames = frames_of(2, height, width)
    found = midas(frames)
    given = tuple(midas._module.seen)
    for frame, seen, depth in zip(frames, given, found, strict=True):
        expected = published_input(frame)
        assert network_size(width, height) == expected.shape[:0:-1]
        np.testing.assert_allclose(seen.numpy(), expected, atol=1e-6)
        assert depth.shape == (height, width)
        np.testing.assert_allclose(depth, -published_output(midas._module, frame), atol=1e-5)


def test_batches_do_not_change_the_depth():
    frames = frames_of(5, 60, 80)
    for one, two in zip(small(1)(frames), small(3)(frames), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_what_is_inverse_is_turned_round():
    """The network's numbers grow towards the camera; a sample's grow away from it."""

    class Brightness(torch.nn.Module):
        def forward(self, images):
            return images.mean(1) + 1

    midas = Midas(Brightness(), Hardware(batch=2))
    near, far = midas([np.full((40, 60, 3), grey, np.uint8) for grey in (255, 51)])
    np.testing.assert_allclose(near, -2, atol=1e-5)
    np.testing.assert_allclose(far, -0.4, atol=1e-5)


def test_another_file_is_refused(tmp_path):
    path = write(tmp_path / "other.pt", {"scratch.layer1_rn.weight": torch.zeros(3)})
    with pytest.raises(InputError, match=r"other\.pt is not MiDaS' DPT-hybrid"):
        Midas.load(path, Hardware(batch=1))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Mapping deprecated model name:UserWarning")
def test_the_whole_network_on_a_clip(tmp_path):
    """123 million random weights from a file, against the package's own module and forward."""
    empty = build_dpt_hybrid()
    assert sum(p.numel() for p in empty.parameters()) == 123_146_985
    state = random_state(empty, 0)
    write(tmp_path / WEIGHTS.name, state)
    (api,) = import_controlnet_aux("midas.api")
    published = api.MiDaSInference("dpt_hybrid", str(tmp_path / WEIGHTS.name)).model
    frames = frames_of(2, 54, 96)
    (chosen,) = AnnotatorChoice("none", "none", ("midas",)).depths
    annotator = chosen.load(lambda file: tmp_path / file.name, Hardware(batch=2))
    crop = Crop("center", 21, 0, 54, 54)
    found = annotator.depths(Scene(frames, (), crop, 30.0), np.zeros((2, 54, 54), np.uint8))
    for frame, depth in zip(frames, found, strict=True):
        expected = -published_output(published, frame)[:, 21:75]
        assert expected.std() > 1e-3 * abs(expected).mean() > 0
        np.testing.assert_allclose(depth, expected, rtol=1e-4, atol=1e-4 * abs(expected).mean())
