"""Inception equals torch-fidelity's on the same weights, and reads a TorchScript file of them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from idol.evaluate.errors import MissingNetwork
from idol.evaluate.frechet import frechet_distance_of
from idol.evaluate.inception import Inception
from idol.evaluate.networks import load_network


class Oracle(FeatureExtractorInceptionV3):
    """torch-fidelity's network, whose weights are given later."""

    def load_state_dict(self, state: dict, *args: object, **keywords: object) -> object:
        return super().load_state_dict(state, *args, **keywords) if state else None


class Layers(torch.nn.Module):
    """A file's layers: a tree of modules with the four tensors of each convolution."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name in dict.fromkeys(key.split(".")[0] for key in tensors):
            below = {
                k.removeprefix(f"{name}."): v
                for k, v in tensors.items()
                if k.startswith(f"{name}.")
            }
            if below:
                self.add_module(name, Layers(below))
            else:
                self.register_buffer(name, tensors[name])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def random_layers(seed: int) -> dict[str, dict[str, torch.Tensor]]:
    """The four tensors of each convolution, by its name, in the order in which they are used."""
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for name, module in Inception().named_modules():
        if isinstance(module, torch.nn.Conv2d):
            shape = module.weight.shape
            scale = (2 / shape[1:].numel()) ** 0.5
            draw = torch.randn(3, shape[0], generator=generator)
            layers[name] = {
                "weight": torch.randn(shape, generator=generator) * scale,
                "beta": draw[0] * 0.3,
                "mean": draw[1] * 0.1,
                "var": 1 + 0.1 * draw[2].abs(),
            }
    return layers


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tensors = {
        f"net.layers.{name}.{key}": value
        for name, four in random_layers(0).items()
        for key, value in four.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Layers(tensors)).save(tmp_path / "inception.pt")
    return tmp_path / "inception.pt"


@pytest.fixture
def oracle(tmp_path: Path) -> Oracle:
    torch.save({}, tmp_path / "none.pth")
    network = Oracle("x", ["2048"], feature_extractor_weights_path=tmp_path / "none.pth")
    state = network.state_dict()
    units = [name.removesuffix(".conv.weight") for name in state if name.endswith("conv.weight")]
    for unit, four in zip(units, random_layers(0).values(), strict=True):
        state[f"{unit}.conv.weight"] = four["weight"]
        state[f"{unit}.bn.weight"] = torch.ones_like(four["beta"])
        state[f"{unit}.bn.bias"] = four["beta"]
        state[f"{unit}.bn.running_mean"] = four["mean"]
        state[f"{unit}.bn.running_var"] = four["var"]
    network.load_state_dict(state)
    return network


def test_equals_torch_fidelity_on_the_same_weights(file: Path, oracle: Oracle) -> None:
    network = load_network("inception-v3-2015-12-05", file=file)
    images = np.random.default_rng(0).integers(0, 256, (3, 299, 299, 3), np.uint8)
    with torch.inference_mode():
        expected = oracle(torch.from_numpy(images).permute(0, 3, 1, 2))[0].numpy()
    np.testing.assert_allclose(network(images), expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_the_scale_of_pytorch_fid_is_another(file: Path) -> None:
    """127.5 is the middle there, 128 in TensorFlow's graph."""
    grey = np.full((1, 299, 299, 3), 127.5, np.float32)
    there = load_network("inception-v3-2015-12-05", file=file, scale="pytorch-fid")
    here = load_network("inception-v3-2015-12-05", file=file)
    np.testing.assert_allclose(there(grey), here(grey + 0.5), rtol=1e-5)
    assert there.fingerprint != here.fingerprint
    assert there.checksum == here.checksum


def test_fid_is_that_of_torch_fidelity_and_torchmetrics_on_the_same_features() -> None:
    from torch_fidelity.metric_fid import fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    rng = np.random.default_rng(1)
    a, b = rng.gamma(2, size=(300, 64)), rng.gamma(3, size=(200, 64)) @ rng.random((64, 64)) / 32
    stats = [{"mu": f.mean(0), "sigma": np.cov(f.T)} for f in (a, b)]
    found = frechet_distance_of(a, b)
    oracle = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert found == pytest.approx(oracle, rel=1e-3)
    tensors = [torch.from_numpy(s[k]) for k in ("mu", "sigma") for s in stats]
    theirs = _compute_fid(tensors[0], tensors[2], tensors[1], tensors[3])
    assert found == pytest.approx(float(theirs), rel=1e-3)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(MissingNetwork, match=r"a\.pt is no TorchScript file"):
        load_network("inception-v3-2015-12-05", file=tmp_path / "a.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Layers({"conv.weight": torch.zeros(2, 3, 1, 1)})).save(tmp_path / "b.pt")
    with pytest.raises(MissingNetwork, match=r"b\.pt holds no weights .*conv\.beta"):
        load_network("inception-v3-2015-12-05", file=tmp_path / "b.pt")


@pytest.mark.slow
def test_equals_the_program_in_the_pinned_file() -> None:
    from idol.evaluate.annotate.external import locate

    path, _ = locate("inception/inception-v3.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.jit.load(path).eval()
    images = np.random.default_rng(0).integers(0, 256, (2, 299, 299, 3), np.uint8)
    with torch.inference_mode():
        expected = program((torch.from_numpy(images).permute(0, 3, 1, 2).float() - 128) / 128)
    found = load_network("inception-v3-2015-12-05")(images)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
