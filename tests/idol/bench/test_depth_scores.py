"""`bench/depth_scores.py`: whose depth is spoilt, and what scores say of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from bench import depth_scores
from idol.config.checks import ConfigError
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


def test_what_was_made_with_other_settings_is_not_reported_under_these(tmp_path: Path) -> None:
    command = ["--shards", "absent", "--val", "absent", "--out", str(tmp_path)]
    made = {"shards": "absent", "val": "absent", "share": 0.4, "clips": 300, "held_out": 48}
    made |= {"steps": 400, "start": None, "learning_rate": 5e-4, "seeds": [7], "out": "elsewhere"}
    (tmp_path / depth_scores.SETTINGS).write_text(json.dumps(made))
    with pytest.raises(ConfigError, match=r"was made with --share 0\.4, --held-out 48: name"):
        depth_scores.main([*command, "--share", "0.5", "--held-out", "9"])
    depth_scores.check_alike(tmp_path, {**made, "seeds": [0, 1]})
    (tmp_path / depth_scores.SETTINGS).rename(tmp_path / "other.json")
    with pytest.raises(ConfigError, match="does not say what it was made with"):
        depth_scores.main(command)
