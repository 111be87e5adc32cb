"""From TensorFlow's checkpoints to one file that loads, or to one clear sentence."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.cli import main
from preprocess import weights
from preprocess.annotators.hdnet import HourglassNetwork, hourglass_state_dict
from preprocess.annotators.hdnet.spec import WEIGHTS
from preprocess.annotators.hdnet.weights_file import load_networks, read_checkpoints, save_networks
from preprocess.errors import InputError
from preprocess.weights import checksums
from tests.preprocess.annotators.hdnet.bundles import write_bundle
from tests.preprocess.annotators.hdnet.drawn import NETWORKS, variables


def write(prefix, *kinds, seed=0):
    """A checkpoint of whole networks, with what a real one has besides: averages and a step."""
    rng = np.random.default_rng(seed)
    held = {"global_step": np.int64(1710000)}
    for kind in kinds:
        held |= variables(kind, rng, moving=True)
    write_bundle(prefix, held, checksum=lambda raw: 0)
    return held


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folder of one checkpoint with both networks."""
    folder = tmp_path_factory.mktemp("both")
    write(folder / "model.ckpt", "depth", "normal")
    return folder


def test_the_state_dict_has_kernels_as_torch_wants_them():
    scope, inputs, outputs, _ = NETWORKS["normal"]
    drawn = variables("normal", np.random.default_rng(1), moving=True)
    state = hourglass_state_dict(drawn, scope)
    HourglassNetwork(inputs, outputs).load_state_dict(state)
    np.testing.assert_array_equal(
        state["conv4.weight"][5, 7], drawn[f"{scope}/conv4/weights"][:, :, 7, 5]
    )


def test_a_missing_variable_is_named_with_the_scopes_that_there_are():
    scope, *_ = NETWORKS["normal"]
    drawn = variables("normal", np.random.default_rng(1))
    with pytest.raises(InputError, match=r"53 of 53 .*conv1/weights.*scopes found: " + scope):
        hourglass_state_dict(drawn, "hourglass_stack_fused_depth_prediction")
    del drawn[f"{scope}/conv7/beta"]
    with pytest.raises(InputError, match=rf"1 of 53 .*\({scope}/conv7/beta\)"):
        hourglass_state_dict(drawn, scope)
    with pytest.raises(InputError, match="scopes found: none"):
        hourglass_state_dict({}, scope)


def test_two_checkpoints_become_one_file_that_loads_exactly(tmp_path, capsys):
    held = write(tmp_path / "model/depth_prediction/model_1/model_1.ckpt", "depth")
    held |= write(tmp_path / "model/normal_prediction/model_2/model_2.ckpt", "normal", seed=1)
    output = tmp_path / "new" / "hdnet.safetensors"
    assert main(["weights", "convert-hdnet", str(tmp_path / "model"), "--output", str(output)]) == 0
    said = capsys.readouterr().out.replace("\n", "")
    for part in ("28,363,905", "28,360,579", "1710000", "model_2.ckpt", "hdnet.safetensors"):
        assert part in said
    assert [path.name for path in output.parent.iterdir()] == ["hdnet.safetensors"]
    networks = load_networks(output)
    for kind, (scope, _, _, count) in NETWORKS.items():
        state = networks[kind].state_dict()
        assert sum(value.numel() for value in state.values()) == count
        for key, value in hourglass_state_dict(held, scope).items():
            assert torch.equal(state[key], value)


def test_a_new_conversion_replaces_what_was_recorded(both, tmp_path):
    """The file is ours: nobody has to accept it."""
    options = ["--weights", str(tmp_path)]
    path = tmp_path / WEIGHTS.name
    path.parent.mkdir()
    path.write_bytes(b"of before")
    weights.checksum(WEIGHTS.name, tmp_path)
    assert main(["weights", "convert-hdnet", str(both), *options]) == 0
    assert main(["weights", "check", "hdnet", *options]) == 0
    assert checksums.read(tmp_path)[WEIGHTS.name].size == path.stat().st_size > 200_000_000


def test_one_checkpoint_may_hold_both(both):
    found = read_checkpoints(both)
    assert {kind: network.parameters for kind, network in found.items()} == {
        kind: count for kind, (*_, count) in NETWORKS.items()
    }
    assert {network.step for network in found.values()} == {1710000}


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        read_checkpoints(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no checkpoint \(\*\.index\)"):
        read_checkpoints(tmp_path)
    write_bundle(tmp_path / "model.ckpt", {"other/conv1/weights": np.ones(2, np.float32)})
    with pytest.raises(InputError, match=r"HDNet's depth network.*scopes found: other"):
        read_checkpoints(tmp_path)


def test_two_that_disagree_are_not_chosen_between(tmp_path):
    for number in (1, 2):
        write(tmp_path / f"model_{number}.ckpt", "normal", seed=number)
    with pytest.raises(InputError, match=r"model_1\.ckpt and .*model_2\.ckpt hold different"):
        read_checkpoints(tmp_path)


def test_another_network_under_the_same_scope_is_refused(tmp_path):
    scope = NETWORKS["normal"][0]
    drawn = variables("normal", np.random.default_rng(0))
    drawn[f"{scope}/conv2/biases"] = np.zeros(32, np.float32)
    write_bundle(tmp_path / "model.ckpt", drawn, checksum=lambda raw: 0)
    with pytest.raises(InputError, match=r"conv2\.bias has shape \(32,\), not \(64,\)"):
        read_checkpoints(tmp_path)


def test_a_bad_folder_is_one_line_of_the_command(tmp_path, capsys):
    assert main(["weights", "convert-hdnet", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_torch_the_command_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("preprocess.annotators.hdnet")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("preprocess.annotators.hdnet", raising=False)
    assert main(["weights", "convert-hdnet", str(tmp_path)]) == 2
    assert "needs torch: install" in capsys.readouterr().err


def test_weights_that_are_not_there_or_not_these_say_so(tmp_path):
    with pytest.raises(InputError, match=r"not at .*convert-hdnet CKPT_DIR"):
        load_networks(tmp_path / "hdnet.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match="no whole safetensors file"):
        load_networks(tmp_path / "cut.safetensors")
    save_networks({"depth": {"conv1.weight": torch.zeros(64, 9, 3, 3)}}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"depth network: conv1\.bias is missing"):
        load_networks(tmp_path / "a.safetensors")
    assert sorted(Path(tmp_path).iterdir()) == [
        tmp_path / "a.safetensors",
        tmp_path / "cut.safetensors",
    ]
