"""The examples run as a newcomer would run them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from shards.dataset import open_for_build
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.writer import commit_shard
from tests.idol.evaluate.made import dataset

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run(name, *arguments, cwd=None, weights=None):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    # Without networks: they are absent from an empty folder.
    environment = os.environ | ({"IDOL_WEIGHTS": str(weights)} if weights else {})
    return subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=cwd, env=environment
    ).stdout


def test_read_shards(tmp_path):
    clip = Clip(
        "a-b-0", np.zeros((2, 16, 16, 3), np.uint8), info={"key": "a-b-0", "frame_indices": [0, 1]}
    )
    build = open_for_build(tmp_path / "out", {})
    commit_shard(tmp_path / "out", "train", 0, [("a-b-0", encode_clip(clip))])
    build.finish({"train": 1})
    shown = run("read_shards.py", tmp_path / "out")
    assert "train: 1 clips" in shown
    assert "(2, 16, 16, 3)" in shown


def test_read_shards_without_a_dataset_says_what_to_do(tmp_path):
    command = [sys.executable, str(EXAMPLES / "read_shards.py")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 1
    assert "`make demo` builds demo/shards" in result.stderr
    assert "Traceback" not in result.stderr


def test_training_step():
    assert "motion" in run("training_step.py")


def test_scoring_ones_own_generator_and_its_folder(tmp_path):
    shards = dataset(tmp_path / "shards", videos=2, clips=1)
    where = {"cwd": tmp_path, "weights": tmp_path}
    scored = run("score_own_generator.py", shards, **where)
    assert "depth L2 (RMSE)" in scored
    assert "Protocol clean-8" in scored
    assert "Protocol clean-8" in run("score_folder.py", tmp_path / "generated", shards, **where)
