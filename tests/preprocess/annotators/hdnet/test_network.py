"""The port is the TensorFlow graph: its outputs, its counts, its statistics."""

from pathlib import Path

import numpy as np
import pytest
import torch

from preprocess.annotators.hdnet import HourglassNetwork
from preprocess.annotators.hdnet.network import _NormalizedConvolution, _upsample
from tests.preprocess.annotators.hdnet.drawn import NETWORKS

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("kind", NETWORKS)
def test_outputs_are_the_reference_s(kind, hourglass):
    rng = np.random.default_rng(0)
    network = hourglass(kind, rng)
    drawn = rng.random((1, 256, 256, network.in_channels)) * 255
    input_NHWC = torch.from_numpy(drawn.astype(np.float32))
    with np.load(FIXTURES / f"hdnet_{kind}_seed0.npz") as reference:
        np.testing.assert_array_equal(input_NHWC[0, :2, :2], reference["input_corner"])
        with torch.inference_mode():
            output = network(input_NHWC.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        np.testing.assert_allclose(output, reference["output"], rtol=0, atol=3e-4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_parameters_by_count(kind):
    _, inputs, outputs, count = NETWORKS[kind]
    with torch.device("meta"):
        network = HourglassNetwork(inputs, outputs)
    assert sum(p.numel() for p in network.parameters()) == count
    assert not list(network.buffers())


def test_an_image_does_not_depend_on_its_batch(hourglass):
    """Batch 4 is 4 x batch 1, although the images differ a hundredfold in brightness."""
    rng = np.random.default_rng(5)
    network = hourglass("depth", rng)
    drawn = rng.random((4, 9, 64, 64)) * np.array([255, 2.5, 60, 200])[:, None, None, None]
    batch = torch.from_numpy(drawn.astype(np.float32))
    with torch.inference_mode():
        together = network(batch)
        alone = torch.cat([network(image[None]) for image in batch])
    torch.testing.assert_close(together, alone, rtol=0, atol=3e-4)
    assert (alone[0] - alone[1]).abs().max() > 0.1


def test_half_precision_normalises_in_float32():
    """Raw images times weights vary by more than 256, and float16 ends at 256 squared."""
    layer = _NormalizedConvolution(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([2.0, 0.5])[:, None, None, None].expand_as(layer.weight))
        image = torch.full((1, 3, 8, 8), 255.0)
        image[..., 4:] = 0
        expected = layer(image)
        assert torch.nn.functional.conv2d(image, layer.weight).var() > 65504
        halved = layer.half()(image.half())
    assert expected.max() > 0.5
    torch.testing.assert_close(halved, expected, rtol=0, atol=0.01)


def test_upsampling_is_tensorflow_1_s():
    x = torch.tensor([[0.0, 4.0], [8.0, 2.0]])[None, None]
    expected = [[0, 2, 4, 4], [4, 3.5, 3, 3], [8, 5, 2, 2], [8, 5, 2, 2]]
    torch.testing.assert_close(_upsample(x)[0, 0], torch.tensor(expected, dtype=torch.float32))


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 9, 40, 32), (1, 9, 32, 24)])
def test_what_does_not_fit_says_what_would(shape):
    with torch.device("meta"):
        network = HourglassNetwork(9, 1)
    with pytest.raises(ValueError, match=r"\(N, 9, H, W\) with H and W multiples of 16"):
        network(torch.zeros(shape, device="meta"))
