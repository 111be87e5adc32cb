"""I3D equals the public port, and reads the weights that a package registry serves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from idol.evaluate.errors import EvaluationError
from idol.evaluate.i3d import I3D, state_from_flax
from tests.idol.evaluate.seeded import REFERENCE, outputs, seeded_state


def test_equals_the_public_port() -> None:
    network = I3D()
    network.load_state_dict(seeded_state(network))
    video = np.random.default_rng(100).random((1, 3, 8, 224, 224)) * 2 - 1
    expected = np.load(REFERENCE / "i3d_seed0.npz")["output"]
    assert expected.shape == (1, 400)
    np.testing.assert_allclose(outputs(network, video), expected, rtol=1e-4, atol=1e-5)


def test_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in I3D().parameters()) == 12_697_264


@pytest.mark.parametrize("frames", [1, 10])
def test_takes_clips_of_any_length(frames: int) -> None:
    assert outputs(I3D(), np.zeros((1, 3, frames, 224, 224))).shape == (1, 400)


def in_flax_layout(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The inverse of `state_from_flax`, by the names of the JAX checkpoint's own entries."""
    branches = {
        "b0": "Branch_0/Conv3d_0a_1x1",
        "b1a": "Branch_1/Conv3d_0a_1x1",
        "b1b": "Branch_1/Conv3d_0b_3x3",
        "b2a": "Branch_2/Conv3d_0a_1x1",
        "b2b": "Branch_2/Conv3d_0b_3x3",
        "b3b": "Branch_3/Conv3d_0b_1x1",
    }
    checkpoint: dict[str, Any] = {"params": {}, "batch_stats": {}}

    def put(group: str, path: list[str], layer: str, key: str, value: torch.Tensor) -> None:
        place = checkpoint[group]
        for step in (*path, layer):
            place = place.setdefault(step, {})
        place[key] = value.numpy()

    for name, value in state.items():
        parts = name.split(".")
        path = [branches.get(part, part) for part in parts[:-2]]
        path = ["Logits/Conv3d_0c_1x1"] if path == ["logits"] else path
        match parts[-2:]:
            case ["conv3d", "weight"]:
                put("params", path, "Conv_0", "kernel", value.permute(2, 3, 4, 1, 0))
            case ["conv3d", "bias"]:
                put("params", path, "Conv_0", "bias", value)
            case ["bn", "bias"]:
                put("params", path, "BatchNorm_0", "bias", value)
            case ["bn", "running_mean"]:
                put("batch_stats", path, "BatchNorm_0", "mean", value[None, None, None, None])
            case ["bn", "running_var"]:
                put("batch_stats", path, "BatchNorm_0", "var", value[None, None, None, None])
    return checkpoint


def test_weights_in_jax_layout_are_the_same_network() -> None:
    state = seeded_state(I3D(), 5)
    state |= {n: torch.ones_like(v) for n, v in state.items() if n.endswith("bn.weight")}
    read = state_from_flax(in_flax_layout(state))
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_an_absent_array_is_named() -> None:
    checkpoint = in_flax_layout(seeded_state(I3D()))
    del checkpoint["batch_stats"]["Mixed_4e"]
    with pytest.raises(EvaluationError, match="no array batch_stats/Mixed_4e"):
        state_from_flax(checkpoint)
