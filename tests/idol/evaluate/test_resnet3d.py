"""3D ResNet-50 equals the public implementation, and reads its checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch

from idol.evaluate.errors import MissingNetwork
from idol.evaluate.networks import load_network
from idol.evaluate.resnet3d import ResNet3D50
from tests.idol.evaluate.seeded import REFERENCE, seeded_state


def pixels() -> np.ndarray:
    return np.random.default_rng(200).random((1, 3, 8, 112, 112)) * 255


def test_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in ResNet3D50().parameters()) == 47_018_576


@pytest.mark.slow
def test_reads_its_authors_checkpoint(tmp_path: Path) -> None:
    """Names behind `module.`, in an entry beside others, without counts of batches. What it once
    gave for a clip is kept."""
    state = seeded_state(ResNet3D50())
    published = {f"module.{n}": v for n, v in state.items() if "num_batches" not in n}
    torch.save({"epoch": 90, "arch": "resnet-50", "state_dict": published}, tmp_path / "r.pth")
    network = load_network("resnet3d-50-kinetics", file=tmp_path / "r.pth", cache=tmp_path / "kept")
    expected = np.load(REFERENCE / "resnet3d50_seed0.npz")["output"]
    clip = np.moveaxis(pixels(), 1, -1).astype(np.float32)
    np.testing.assert_allclose(network(clip), expected, rtol=1e-4, atol=1e-4 * expected.max())
    with torch.no_grad():
        network.module.conv1.weight.fill_(0)
    np.testing.assert_allclose(network(clip), expected, rtol=1e-4, atol=1e-4 * expected.max())
    assert not np.allclose(network(clip + 1), expected, rtol=0.1)


def test_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"conv1.weight": torch.zeros(2)}}, tmp_path / "r.pth")
    with pytest.raises(MissingNetwork, match=r"r\.pth holds no weights of resnet3d-50-kinetics"):
        load_network("resnet3d-50-kinetics", file=tmp_path / "r.pth")
    with pytest.raises(MissingNetwork, match="no weights of"):
        load_network("resnet3d-50-kinetics", file=tmp_path / "absent.pth")
    with pytest.raises(MissingNetwork, match=r"drive\.google\.com"):
        load_network("resnet3d-50-kinetics", folder=tmp_path)
