from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from preprocess.annotators.grounded_sam.annotator import Detections, prompts

WIDTH, HEIGHT = 400, 300
SETTINGS = {"people": "one", "person": "largest", "bridge": False}


def box(x: float, y: float, width: float, height: float) -> tuple[float, ...]:
    """Around (x, y)."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def found(*frames: Sequence[tuple[float, ...]]) -> list[Detections]:
    return [
        Detections(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))
        for boxes in frames
    ]


def chosen(detections: list[Detections], **settings) -> list[list[tuple[float, ...]]]:
    boxes = prompts(detections, WIDTH, HEIGHT, **{**SETTINGS, **settings})
    assert all(b.dtype == np.float32 and b.shape[1:] == (4,) for b in boxes)
    return [[tuple(row) for row in b.tolist()] for b in boxes]


BIG, SMALL = box(80, 150, 100, 200), box(200, 150, 40, 100)


def test_the_largest_or_the_most_central():
    both = found([SMALL, BIG])
    assert chosen(both) == [[BIG]]
    assert chosen(both, person="central") == [[SMALL]]
    assert chosen(both, people="all") == [[SMALL, BIG]]


def test_the_choice_is_of_the_whole_clip():
    """The dancer crouches in frame 2 and is smaller than the bystander there, and still the one."""
    dancer = [BIG, BIG, box(80, 210, 60, 40), BIG]
    assert chosen(found(*([SMALL, d] for d in dancer))) == [[d] for d in dancer]


def test_the_choice_follows_a_person_who_moves_past_another():
    walks = [box(60 + 40 * t, 150, 90, 200) for t in range(7)]
    stands = box(180, 150, 70, 190)
    mixed = [[stands, w] if t % 2 else [w, stands] for t, w in enumerate(walks)]
    assert chosen(found(*mixed)) == [[w] for w in walks]


@pytest.mark.parametrize("missing", [1, 2])
def test_nobody_else_takes_the_place_of_a_missing_person(missing):
    frames = [[BIG, SMALL], *[[SMALL]] * missing, [BIG, SMALL], [BIG, SMALL]]
    assert chosen(found(*frames)) == [[BIG], *[[]] * missing, [BIG], [BIG]]


def test_after_a_cut_somebody_else_is_chosen():
    other = box(300, 100, 80, 100)
    assert chosen(found([BIG], [BIG], [other, SMALL], [other, SMALL])) == [
        [BIG],
        [BIG],
        [other],
        [other],
    ]


def test_a_single_missing_frame_is_bridged_between_its_neighbours():
    left, right = box(80, 150, 100, 200), box(100, 150, 100, 220)
    gap = found([left], [], [right], [], [])
    assert chosen(gap) == [[left], [], [right], [], []]
    assert chosen(gap, bridge=True) == [[left], [box(90, 150, 100, 210)], [right], [], []]
    assert chosen(gap, bridge=True, people="all")[1] == [box(90, 150, 100, 210)]
    assert chosen(found([left], [], [], [left]), bridge=True)[1:3] == [[], []]


@pytest.mark.parametrize("people", ["one", "all"])
def test_nobody_at_all(people):
    assert chosen(found([], [], []), people=people, bridge=True) == [[], [], []]
