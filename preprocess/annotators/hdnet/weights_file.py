"""One safetensors file with both of HDNet's networks: made from its checkpoints, and loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from preprocess.annotators.hdnet.network import CONVOLUTIONS, HourglassNetwork
from preprocess.annotators.hdnet.tensor_bundle import load_tensor_bundle
from preprocess.annotators.torch.loading import load_state, save_state
from preprocess.errors import InputError

__all__ = [
    "NETWORKS",
    "Found",
    "hourglass_state_dict",
    "load_networks",
    "read_checkpoints",
    "save_networks",
]


@dataclass(frozen=True)
class _Network:
    scope: str  # of its variables in the checkpoints
    in_channels: int
    out_channels: int

    def build(self) -> HourglassNetwork:
        """Without memory for its parameters."""
        with torch.device("meta"):
            return HourglassNetwork(self.in_channels, self.out_channels)


NETWORKS = {
    "depth": _Network("hourglass_stack_fused_depth_prediction", 9, 1),
    "normal": _Network("hourglass_normal_prediction", 3, 3),
}


@dataclass(frozen=True, eq=False)
class Found:
    """One network in a checkpoint: `prefix` names the checkpoint, `step` its training step."""

    prefix: Path
    step: int | None
    state: dict[str, Tensor]

    @property
    def parameters(self) -> int:
        return sum(value.numel() for value in self.state.values())


def read_checkpoints(folder: Path) -> dict[str, Found]:
    """Find "depth" and "normal" in the TensorFlow checkpoints in or below `folder`.

    One checkpoint may hold both. Raises InputError when there is no checkpoint, a network is in
    none, two checkpoints disagree about one, its shapes are not HDNet's, or a file is damaged.
    """
    indices = sorted(folder.rglob("*.index")) if folder.is_dir() else []
    if not indices:
        what = "holds no checkpoint (*.index)" if folder.is_dir() else "is not a folder"
        raise InputError(
            f"{folder} {what}: give the folder of HDNet's published weights, in which "
            f"depth_prediction and normal_prediction lie"
        )
    found: dict[str, Found] = {}
    scopes: set[str] = set()
    for index in indices:
        prefix = index.with_suffix("")
        variables = load_tensor_bundle(prefix)
        scopes |= {name.split("/")[0] for name in variables if "/" in name}
        for kind, network in NETWORKS.items():
            if any(name.startswith(f"{network.scope}/") for name in variables):
                new = _found(prefix, variables, network)
                if kind in found and not _equal(found[kind].state, new.state):
                    raise InputError(
                        f"{found[kind].prefix} and {prefix} hold different weights for "
                        f"{network.scope}: give a folder with one of them"
                    )
                found.setdefault(kind, new)
    for kind, network in NETWORKS.items():
        if kind not in found:
            raise InputError(
                f"no checkpoint below {folder} holds HDNet's {kind} network, scope "
                f"{network.scope}; looked at {', '.join(str(i) for i in indices)}; scopes found: "
                f"{', '.join(sorted(scopes)) or 'none'}"
            )
    return found


def save_networks(states: Mapping[str, Mapping[str, Tensor]], path: Path) -> None:
    """Write the state dicts of "depth" and "normal" to one file, which appears only when whole."""
    save_state(
        {f"{kind}.{key}": value for kind in states for key, value in states[kind].items()}, path
    )


def hourglass_state_dict(variables: Mapping[str, np.ndarray], scope: str) -> dict[str, Tensor]:
    """The variables `{scope}/conv1/weights`, ... as a float32 state dict of `HourglassNetwork`.

    Kernels are stored as (height, width, in, out) and become (out, in, height, width). Other
    variables (moving averages, which the network does not use; optimiser slots) are left out.
    Raises InputError naming the variables that are missing and the scopes that there are, or the
    variable whose shape does not fit.
    """
    wanted = {
        f"{scope}/conv{number}/{name}": (f"conv{number}.{key}", key)
        for number in range(1, CONVOLUTIONS + 1)
        for name, key in (("weights", "weight"), ("biases", "bias"), ("beta", "beta"))
        if number < CONVOLUTIONS or key != "beta"
    }
    missing = [name for name in wanted if name not in variables]
    if missing:
        scopes = sorted({name.split("/")[0] for name in variables if "/" in name})
        raise InputError(
            f"no HDNet network under {scope!r}: {len(missing)} of {len(wanted)} variables are "
            f"missing ({', '.join(missing[:4])}{', ...' * (len(missing) > 4)}); scopes found: "
            f"{', '.join(scopes) or 'none'}"
        )
    state = {}
    for name, (target, key) in wanted.items():
        value = np.asarray(variables[name], np.float32)
        dimensions = 4 if key == "weight" else 1
        if value.ndim != dimensions:
            raise InputError(f"{name} has shape {value.shape}: expected {dimensions} dimensions")
        if key == "weight":
            value = value.transpose(3, 2, 0, 1)
        state[target] = torch.from_numpy(np.array(value, order="C"))
    return state


def load_networks(path: Path) -> dict[str, HourglassNetwork]:
    """The networks "depth" and "normal" for inference.

    Raises InputError when the file is absent, no safetensors file, or not of these networks.
    """
    if not path.is_file():
        raise InputError(
            f"HDNet's weights are not at {path}. Download its published checkpoints and run "
            f"`idol-prep weights convert-hdnet CKPT_DIR --output {path}`."
        )
    tensors = load_state(path)
    networks = {}
    for kind, described in NETWORKS.items():
        prefix = f"{kind}."
        state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        network = described.build()
        if mistake := _mistake(network, state):
            raise InputError(
                f"{path} does not hold HDNet's {kind} network: {mistake}. Make it again with "
                f"`idol-prep weights convert-hdnet`."
            )
        network.load_state_dict(state, assign=True)
        networks[kind] = network.requires_grad_(False).eval()
    return networks


def _found(prefix: Path, variables: Mapping[str, np.ndarray], network: _Network) -> Found:
    try:
        state = hourglass_state_dict(variables, network.scope)
    except InputError as error:
        raise InputError(f"{prefix}: {error}") from error
    if mistake := _mistake(network.build(), state):
        raise InputError(f"{prefix} does not hold HDNet's {network.scope}: {mistake}")
    step = variables.get("global_step")
    return Found(prefix, None if step is None else int(step), state)


def _mistake(network: HourglassNetwork, state: Mapping[str, Tensor]) -> str | None:
    """The first parameter that does not fit, in words."""
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    for key, shape in expected.items():
        if key not in state:
            return f"{key} is missing"
        if tuple(state[key].shape) != shape:
            return f"{key} has shape {tuple(state[key].shape)}, not {shape}"
    extra = sorted(set(state) - set(expected))
    return f"{extra[0]} is not part of it" if extra else None


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)
