"""Real footage, real weights: the networks see what is there, and distances grow with damage."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from torchvision.models._meta import _KINETICS400_CATEGORIES

from idol.evaluate.errors import MissingNetwork
from idol.evaluate.frechet import frechet_distance_of
from idol.evaluate.networks import Network, NetworkName, load_network
from preprocess.video import VideoFile
from tests.idol.evaluate.corruptions import CORRUPTIONS

pytestmark = pytest.mark.slow

Footage = Callable[[str], Path]


@cache
def network(name: NetworkName) -> Network:
    try:
        return load_network(name)
    except MissingNetwork as error:
        pytest.skip(str(error))


def clip(path: Path, first: int, frames: int, step: int, size: int = 224) -> np.ndarray:
    """(T, size, size, 3): the middle square of every so many frames."""
    squares = []
    for frame in VideoFile(path).read(range(first, first + frames * step, step)):
        height, width = frame.rgb.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = frame.rgb[top : top + side, left : left + side]
        squares.append(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA))
    return np.stack(squares)


def test_i3d_names_what_the_man_does(footage: Footage) -> None:
    """He stands on one leg and swings the other; classes stand in alphabetical order."""
    logits = network("i3d-kinetics-400")(clip(footage("cam03.mp4"), 20, 32, 2)[None])[0]
    likeliest = [_KINETICS400_CATEGORIES[number] for number in logits.argsort()[::-1][:5]]
    assert likeliest[0] == "swinging legs"


@pytest.fixture(scope="module")
def clips(footage: Footage) -> np.ndarray:
    """(N, 8, 224, 224, 3) of three videos."""
    videos = (("demo.mp4", 2), ("cam01.mp4", 3), ("cam03.mp4", 3))
    return np.stack(
        [clip(footage(name), first, 8, step) for name, step in videos for first in range(0, 72, 18)]
    )


@pytest.fixture(scope="module")
def i3d_clean(clips: np.ndarray) -> np.ndarray:
    return network("i3d-kinetics-400")(clips)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_fvd_grows_with_damage(clips: np.ndarray, i3d_clean: np.ndarray, corruption: str) -> None:
    distances = [frechet_distance_of(i3d_clean, i3d_clean)]
    assert distances[0] == pytest.approx(0, abs=1e-4)
    for strength in (0.3, 0.6, 1.0):
        damaged = np.stack([CORRUPTIONS[corruption](each, strength) for each in clips])
        found = network("i3d-kinetics-400")(damaged)
        distances.append(frechet_distance_of(found, i3d_clean))
    print(f"{corruption}: FVD", *(f"{distance:.1f}" for distance in distances))
    assert distances == sorted(distances)


@pytest.mark.parametrize("corruption", ["crop", "blur", "noise"])
def test_fid_grows_with_damage(clips: np.ndarray, corruption: str) -> None:
    """Of single frames, with Inception's real weights."""
    inception = network("inception-v3-2015-12-05")

    def features(frames: np.ndarray) -> np.ndarray:
        return inception(np.stack([cv2.resize(frame, (299, 299)) for frame in frames]))

    frames = clips[:, ::4].reshape(-1, 224, 224, 3)
    clean = features(frames)
    distances = [frechet_distance_of(clean, clean)]
    assert distances[0] == pytest.approx(0, abs=1e-4)
    for strength in (0.3, 0.6, 1.0):
        damaged = CORRUPTIONS[corruption](frames, strength)
        distances.append(frechet_distance_of(features(damaged), clean))
    print(f"{corruption}: FID", *(f"{distance:.2f}" for distance in distances))
    assert distances == sorted(distances)
