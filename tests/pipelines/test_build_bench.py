"""`bench/build.py` measures what it says, and the two ways make the same number of clips."""

import pytest

from bench import build
from pipelines.build import plan_build
from pipelines.recipe import Recipe


@pytest.mark.slow
def test_parts_and_throughput_of_a_small_build(tmp_path, footage):
    (tmp_path / "cam01.mp4").symlink_to(footage("cam01.mp4"))
    recipe = Recipe("videos", clip_length=4, stride=30, size=128, min_person_frames=0)
    plan = plan_build(recipe, tmp_path)

    costs = build.parts(plan)
    assert list(costs) == ["decode", "annotate", "encode", "keep", "commit"]
    assert all(cost.shape == (2,) and (cost > 0).all() for cost in costs.values())

    assert 0 < build.annotating(plan) < 1

    here = build.plain_loop(plan)
    built, to_first, in_all = build.through_build(plan, workers=0)
    assert sum(n for _, n in here.stamps) == sum(n for _, n in built.stamps) == plan.clips > 1
    assert 0 < to_first < in_all
