"""HDNet with drawn weights: real sizes, real loading code, no real checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from preprocess.annotators.hdnet import HourglassNetwork, hourglass_state_dict
from tests.preprocess.annotators.hdnet.drawn import NETWORKS, variables


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def hourglass() -> Callable[[str, np.random.Generator], HourglassNetwork]:
    """hourglass(kind, rng): the network with weights drawn from `rng`."""

    def make(kind: str, rng: np.random.Generator) -> HourglassNetwork:
        scope, inputs, outputs, _ = NETWORKS[kind]
        network = HourglassNetwork(inputs, outputs)
        network.load_state_dict(hourglass_state_dict(variables(kind, rng), scope))
        return network.eval()

    return make
