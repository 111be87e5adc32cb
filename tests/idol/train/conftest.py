"""Shards for training tests, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.idol.train.micro import clip, write_shards


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven clips of three frames to train on, and two held out."""
    root = tmp_path_factory.mktemp("boxes")
    return write_shards(root, [clip(i) for i in range(7)], [clip(i) for i in range(7, 9)])
