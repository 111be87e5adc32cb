"""What goes into generating a clip."""

from dataclasses import replace

import numpy as np
import pytest

from idol.generate.errors import GenerationError
from idol.generate.generator import ClipConditions, conditions_of
from tests.idol.train.micro import clip


def test_the_conditions_of_a_clip_are_its_own_arrays() -> None:
    one = replace(clip(0), info={**clip(0).info, "fps": 59.94})
    given = conditions_of(one)
    assert given.frames == len(one.rgb)
    assert given.size == one.rgb.shape[1]
    assert given.skeletons is one.pose
    assert given.fps == 59.94


def test_a_clip_without_a_reference_cannot_be_generated() -> None:
    with pytest.raises(GenerationError, match="no reference, reference_mask: build"):
        conditions_of(replace(clip(0), reference=None, reference_mask=None))


def test_everything_of_another_shape_is_named_at_once() -> None:
    given = vars(conditions_of(clip(0)))
    wrong = {
        "foreground_mask": np.zeros((3, 4), np.uint8),
        "skeletons": given["skeletons"].astype(np.float32),
        "fps": 0,
    }
    with pytest.raises(GenerationError) as caught:
        ClipConditions(**{**given, **wrong})
    assert len(str(caught.value).splitlines()) == 1 + len(wrong)
    assert all(name in str(caught.value) for name in wrong)
