"""What tells how deep joints are: it learns, and runs without torch as it was trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from preprocess.errors import InputError
from preprocess.sources.people.lifting import Lifting, learnt, main, people, saved
from preprocess.sources.people.spec import PeopleSpec
from shards.sample import lifting
from tests.idol.small import randomise

SPEC = PeopleSpec(seed=3, videos=3, width=64, height=64, frames=6, fps=6)


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that is taken in place of the package's."""
    monkeypatch.setattr(lifting, "WEIGHTS", tmp_path / "lifting.npz")
    lifting._weights.cache_clear()
    yield tmp_path / "lifting.npz"
    lifting._weights.cache_clear()


def test_numpy_runs_the_network_that_was_trained(used: Path) -> None:
    torch.manual_seed(0)
    network = Lifting().eval()
    randomise(network)
    saved(network, used)
    rng = np.random.default_rng(1)
    poses = rng.uniform(0, 90, (lifting.WINDOW, 18, 3)).astype(np.float32)
    poses[..., 2] = rng.uniform(size=poses.shape[:2])
    seen = lifting.told(poses[None, ..., :2], poses[None, ..., 2] >= 0.3)
    with torch.no_grad():
        expected = lifting.to_depth(network.half().float()(torch.from_numpy(seen))[0].numpy())
    np.testing.assert_allclose(
        lifting.lifted(poses, min_score=0.3), np.clip(expected, 0, 0.75), atol=1e-4
    )
    assert np.std(expected) > 0.01


def test_it_learns_how_deep_joints_are() -> None:
    """Of joints that are the deeper the lower they are, whatever the size."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(80, 10, 18, 2)) * rng.uniform(1, 30, (80, 1, 1, 1))
    off = places - places.mean((1, 2), keepdims=True)
    depths = 0.375 + 0.1 * off[..., 1] / off.std((1, 2, 3))[:, None, None]
    network = learnt(places.astype(np.float32), depths.astype(np.float32), steps=60)
    held = slice(None, None, 20)
    seen = lifting.told(places[held, : lifting.WINDOW], np.ones((4, lifting.WINDOW, 18), bool))
    with torch.no_grad():
        found = lifting.to_depth(network(torch.from_numpy(seen)).numpy())
    wanted = depths[held, : lifting.WINDOW]
    left = np.sqrt(((found - wanted) ** 2).mean()) / wanted.std()
    assert left < 0.7


def test_people_move_within_their_range() -> None:
    places, depths = people(SPEC, workers=1)
    assert places.shape == (3, 6, 18, 2)
    assert depths.shape == (3, 6, 18)
    inside = (depths > 0) & (depths < 0.75)
    assert inside.mean() > 0.95
    assert depths.std() > 0.05


def test_the_command_leaves_a_network_that_is_run(
    used: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "people.yaml"
    spec.write_text("{videos: 2, width: 64, height: 64, frames: 3, fps: 6}")
    asked = ["--people", str(spec), "--out", str(used), "--steps", "2", "--workers", "1"]
    assert main(asked) == 0
    poses = np.random.default_rng(2).uniform(0, 64, (3, 18, 3)).astype(np.float32)
    poses[..., 2] = 1
    assert np.isfinite(lifting.lifted(poses)).all()
    assert [file.name for file in used.parent.glob("*lifting*")] == ["lifting.npz"]


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        (["--out", "absent/lifting.npz"], "--out .* a folder that is there"),
        (["--out", "."], "--out .* is to be a file"),
        (["--out", "lifting.npz", "--steps", "0"], "--steps must be at least 1, not 0"),
        (["--out", "lifting.npz", "--workers", "-1"], "--workers must be at least 1, not -1"),
        (["--out", "lifting.npz"], "absent.yaml: No such file"),
    ],
)
def test_what_cannot_be_is_said_before_anybody_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], mistake: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=mistake):
        main(["--people", "absent.yaml", *options])
    assert not list(tmp_path.iterdir())
