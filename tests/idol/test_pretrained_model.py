"""The models that come with the package: small, whole, able to put a person into a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from idol.generate.generator import ClipGenerator, conditions_of
from idol.generate.loading import load_pipeline
from idol.model_info import read_info
from idol.pretrained import PEOPLE64, POSED128
from shards import Clip, open_dataset

EXAMPLES = Path(__file__).parents[2] / "examples"
# Models, and clips of their size.
THERE = [(PEOPLE64, "people.tar"), (POSED128, "people-128.tar")]


@pytest.fixture(params=THERE, ids=[model.name for model, _ in THERE])
def there(request: pytest.FixtureRequest) -> tuple[Path, list[Clip]]:
    model, clips = request.param
    return model, list(open_dataset(EXAMPLES / clips).clips())


@pytest.mark.parametrize("model", [model for model, _ in THERE])
def test_its_weights_are_small_and_half(model: Path) -> None:
    weights = list(model.rglob("*.safetensors"))
    assert sum(file.stat().st_size for file in weights) <= 12 * 10**6
    assert not list(model.rglob("*.bin"))
    assert read_info(model).preset == "tiny"
    card = (model / "README.md").read_text()
    for heading in ("## Data", "## Training", "## Scores", "## Limits"):
        assert heading in card


def test_it_is_a_pipeline(there: tuple[Path, list[Clip]]) -> None:
    model, clips = there
    pipeline = load_pipeline(model)
    assert next(pipeline.unet.parameters()).dtype == torch.float32
    generator = ClipGenerator(pipeline, steps=2)
    made = generator(conditions_of(clips[0]).part(slice(8)), seed=0)
    assert made.frames.shape == clips[0].rgb[:8].shape
    assert np.isfinite(made.depth).all()


@pytest.mark.slow  # seconds: a model of its own
def test_the_example_of_the_readme_generates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = (EXAMPLES.parent / "README.md").read_text().split("```python\n")[1:]
    (code,) = (block.split("```")[0] for block in blocks if "IdolPipeline" in block)
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert "(24, 128, 128)" in capsys.readouterr().out
    assert (tmp_path / "first.png").exists()


# A posed person is as broad as they are in their own photo, and has their skirt.
LEAST_OVERLAP = {"people64": 0.85, "posed128": 0.75}


@pytest.mark.slow
def test_another_foreground_changes_the_clothes_and_not_the_pose(
    there: tuple[Path, list[Clip]],
) -> None:
    """Over the four clips: who is drawn has the given person's colours, where the pose is."""
    import dataclasses

    model, clips = there
    generator = ClipGenerator(load_pipeline(model))
    overlaps, towards = [], []
    for number, clip in enumerate(clips):
        other = clips[number - 1]
        own = conditions_of(clip)
        own = own.part(slice(None, None, 8))
        given = conditions_of(other)
        swapped = dataclasses.replace(
            own,
            foreground=given.foreground,
            foreground_mask=given.foreground_mask,
            foreground_joints=given.foreground_joints,
        )
        plain, changed = (generator(c, seed=0) for c in (own, swapped))
        there = [made.depth_pictures.min(axis=-1) < 230 for made in (plain, changed)]
        overlaps.append((there[0] & there[1]).sum() / (there[0] | there[1]).sum())
        both = there[0] & there[1]
        moved = changed.frames[both].mean(axis=0) - plain.frames[both].mean(axis=0)
        wanted = _colour(given) - _colour(own)
        towards.append(float(moved @ wanted / np.linalg.norm(wanted)))
    assert np.mean(overlaps) > LEAST_OVERLAP[model.name]
    assert sum(step > 0 for step in towards) >= 3


def _colour(conditions: object) -> np.ndarray:
    person = conditions.foreground_mask > 127  # type: ignore[attr-defined]
    return conditions.foreground[person].mean(axis=0)  # type: ignore[attr-defined]
