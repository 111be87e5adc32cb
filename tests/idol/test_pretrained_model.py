"""The model that comes with the package: small, whole, and able to put a person into a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from idol.generate.generator import ClipGenerator, conditions_of
from idol.generate.loading import load_pipeline
from idol.model_info import read_info
from idol.pretrained import PRETRAINED
from shards import Clip, open_dataset

EXAMPLES = Path(__file__).parents[2] / "examples" / "people.tar"


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return list(open_dataset(EXAMPLES).clips())


def test_its_weights_are_small_and_half(clips: list[Clip]) -> None:
    weights = list(PRETRAINED.rglob("*.safetensors"))
    assert sum(file.stat().st_size for file in weights) <= 12 * 10**6
    assert not list(PRETRAINED.rglob("*.bin"))
    assert read_info(PRETRAINED).preset == "tiny"
    card = (PRETRAINED / "README.md").read_text()
    for heading in ("## Data", "## Training", "## Scores", "## Limits"):
        assert heading in card


def test_it_is_a_pipeline(clips: list[Clip]) -> None:
    pipeline = load_pipeline(PRETRAINED)
    assert next(pipeline.unet.parameters()).dtype == torch.float32
    generator = ClipGenerator(pipeline, steps=2)
    made = generator(conditions_of(clips[0]), seed=0)
    assert made.frames.shape == clips[0].rgb.shape
    assert np.isfinite(made.depth).all()


@pytest.mark.slow
def test_another_foreground_changes_the_clothes_and_not_the_pose(clips: list[Clip]) -> None:
    """Over the four clips: who is drawn has the given person's colours, where the pose is."""
    import dataclasses

    generator = ClipGenerator(load_pipeline(PRETRAINED), steps=8)
    overlaps, towards = [], []
    for number, clip in enumerate(clips):
        other = clips[number - 1]
        own = conditions_of(clip)
        own = dataclasses.replace(own, skeletons=own.skeletons[::8])
        given = conditions_of(other)
        swapped = dataclasses.replace(
            own, foreground=given.foreground, foreground_mask=given.foreground_mask
        )
        plain, changed = (generator(c, seed=0) for c in (own, swapped))
        there = [made.depth_pictures.min(axis=-1) < 230 for made in (plain, changed)]
        overlaps.append((there[0] & there[1]).sum() / (there[0] | there[1]).sum())
        both = there[0] & there[1]
        moved = changed.frames[both].mean(axis=0) - plain.frames[both].mean(axis=0)
        wanted = _colour(given) - _colour(own)
        towards.append(float(moved @ wanted / np.linalg.norm(wanted)))
    assert np.mean(overlaps) > 0.8
    assert sum(step > 0 for step in towards) >= 3


def _colour(conditions: object) -> np.ndarray:
    person = conditions.foreground_mask > 127  # type: ignore[attr-defined]
    return conditions.foreground[person].mean(axis=0)  # type: ignore[attr-defined]
