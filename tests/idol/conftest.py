"""Small models for the tests of `idol`: the paper's architecture with a few channels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from idol.model import DualModalDenoiser, DualModalUNetConfig
from tests.idol.small import SMALL, randomise
from tests.idol.train.micro import clip, write_shards

# The tensors of these tests are small: threads would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture
def config() -> DualModalUNetConfig:
    return DualModalUNetConfig(**SMALL)


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    """Two clips of three frames, 8x8 latents, five foreground tokens; both modalities."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "latents_BMFCHW": draw(2, 2, 3, 4, 8, 8),
        "timesteps_B": torch.tensor([17, 802]),
        "encoded_foreground_BTD": draw(2, 5, 20),
        "background_BCHW": draw(2, 4, 8, 8),
        "pose_BFCHW": draw(2, 3, 4, 8, 8),
    }


@pytest.fixture
def trained(config: DualModalUNetConfig) -> DualModalDenoiser:
    """A model none of whose layers is an identity any more."""
    torch.manual_seed(0)
    model = DualModalDenoiser.from_config(config)
    randomise(model)
    return model


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven clips of three frames to train on, and two held out."""
    root = tmp_path_factory.mktemp("boxes")
    return write_shards(root, [clip(i) for i in range(7)], [clip(i) for i in range(7, 9)])
