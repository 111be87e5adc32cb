from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.preprocess.annotators.grounded_sam import small


@pytest.fixture(scope="session")
def bert(tmp_path_factory) -> Path:
    return small.bert_folder(tmp_path_factory.mktemp("weights") / "bert")


@pytest.fixture(scope="session")
def detector_config(tmp_path_factory) -> Path:
    return small.detector_config(tmp_path_factory.mktemp("config") / "small.py")


@pytest.fixture(scope="session")
def upstream(bert, detector_config):
    """GroundingDINO as its package builds it, and the checkpoint that holds it."""
    network = small.build_detector(bert, detector_config)
    return network, small.save_detector(network, bert.parent / "groundingdino.pth")


@pytest.fixture(scope="session")
def sam():
    return small.build_sam()


@pytest.fixture
def frames() -> list[np.ndarray]:
    """Three images of 120 x 90 pixels, different and not flat."""
    y, x = np.mgrid[:90, :120]
    images = []
    for shift in (0, 11, 29):
        bands = [x * 2 + shift, y * 2.5, 128 + 100 * np.sin((x + y + shift) / 9)]
        images.append(np.stack(bands, -1).clip(0, 255).astype(np.uint8))
    return images
