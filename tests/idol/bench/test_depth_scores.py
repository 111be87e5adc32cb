"""`bench/depth_scores.py`: whose depth is spoilt, and what scores say of it."""

from __future__ import annotations

import dataclasses

import numpy as np

from bench import depth_scores
from tests.idol.train.micro import clip


def test_poor_frames_have_somebody_elses_depth_and_low_scores() -> None:
    clips = [
        dataclasses.replace(
            clip(n, frames=20), depth_person=np.full((20, 16, 16), n / 8, np.float32)
        )
        for n in range(4)
    ]
    spoilt = 0
    for n, made in enumerate(depth_scores.poor(clips, 0.4)):
        depth = made.depth_person[:, 0, 0]
        scores = np.array(made.info["depth"]["depth_person"]["scores"])
        poor = depth != n / 8
        assert set(depth[poor]) <= {i / 8 for i in range(4) if i != n}
        assert (scores[poor] <= 0.3).all()
        assert (scores[~poor] >= 0.7).all()
        spoilt += int(poor.sum())
    assert 16 < spoilt < 48  # of 80, 32 expected
    [true] = depth_scores.poor(clips[:1], 0)
    assert (true.depth_person == clips[0].depth_person).all()
