"""HDNet's checkpoint variables to a state dict of `HourglassNetwork`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from preprocess.annotators.hdnet.network import CONVOLUTIONS
from preprocess.errors import InputError

__all__ = ["hourglass_state_dict"]


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
