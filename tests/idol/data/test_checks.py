"""What shards lack is told from their manifests, before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from idol.data.checks import check_shards
from idol.train.errors import TrainError
from idol.train.train import train
from shards.errors import NotADataset
from tests.idol.train.micro import clip, micro, write_shards


def test_a_split_without_clips_is_told(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "s", [], [clip(0)])
    with pytest.raises(NotADataset, match=rf"{shards}: its split 'train' holds no clips: `idol-"):
        train(micro("video", shards, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_batch_has_clips_of_one_size(tmp_path: Path) -> None:
    clips = [clip(0), clip(1), clip(2, size=32), clip(3, frames=1, size=48)]
    shards = write_shards(tmp_path / "s", clips, [clip(4, size=48)])
    with pytest.raises(TrainError) as refused:
        train(micro("video", shards, tmp_path / "run", validate_every=1))
    tar = f"{shards}/train/shard-00000.tar"
    assert f"2 of 16x16, such as {tar}: videos-box-0; " in str(refused.value)
    assert f"1 of 32x32, such as {tar}: videos-box-2: build all with one" in str(refused.value)
    # Clips that are too short do not come, and held-out ones are in batches of their own.
    assert "48x48" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_stage_video_is_not_told_to_train_on_one_frame(tmp_path: Path) -> None:
    for frames, advice in ((1, "train stage image on them"), (2, "train with --frames 2")):
        shards = write_shards(tmp_path / str(frames), [clip(0, frames=frames)])
        with pytest.raises(TrainError, match=f"the longest has {frames}: .*, or {advice}$"):
            check_shards(micro("video", shards, tmp_path / "run", frames=3))


def test_fsdp_needs_a_launcher(boxes: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"--fsdp divides .* by `torchrun .* `accelerate launch`"):
        train(micro("video", boxes, tmp_path / "run", fsdp=True))
    assert not (tmp_path / "run").exists()
