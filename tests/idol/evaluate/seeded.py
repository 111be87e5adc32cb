"""Random weights by which a port of a network is compared with what it is a port of."""

from pathlib import Path

import numpy as np
import torch

REFERENCE = Path(__file__).parent / "reference"


def seeded_state(module: torch.nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict drawn from one generator, name by name in alphabetical order.

    Kernels have variance 2 / inputs, scales and variances lie about 1, all else about 0.
    """
    rng = np.random.default_rng(seed)
    state = module.state_dict()
    for name in sorted(state):
        if state[name].is_floating_point():
            values = rng.standard_normal(tuple(state[name].shape)).astype(np.float32)
            if values.ndim > 1:
                values = values * np.sqrt(2 / np.prod(values.shape[1:]))
            elif name.endswith("running_var"):
                values = 1 + 0.1 * abs(values)
            else:
                values = 0.1 * values + name.endswith("weight")
            state[name] = torch.from_numpy(np.asarray(values, np.float32))
    return state


def outputs(module: torch.nn.Module, inputs: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return module(torch.from_numpy(inputs.astype(np.float32))).numpy()
