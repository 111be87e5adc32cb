"""Datasets of a run: opened once, checked before anything is built, mixed by their weights."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import pytest

from idol.config.train import TrainConfig
from idol.data.datasets import DataError, open_datasets
from idol.train.resume import shards_digest
from idol.train.stopping import TrainError
from idol.train.train import train
from shards.errors import NotADataset
from shards.mix import open_mixture
from shards.stream import ClipStream
from tests.idol.train.micro import clip, losses_of, micro, without, write_shards


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets `held` with two clips held out, `other` with one, and `whole` with none."""
    root = tmp_path_factory.mktemp("parts")
    write_shards(root / "held", [clip(i) for i in range(4)], [clip(i) for i in range(4, 6)])
    write_shards(root / "other", [clip(i) for i in range(10, 12)], [clip(12)])
    write_shards(root / "whole", [clip(i) for i in range(20, 23)])
    return root


def mix(folder: Path, **weights: float) -> Path:
    """A folder with mix.json, as `idol-prep build` leaves it, but of datasets elsewhere."""
    folder.mkdir(exist_ok=True)
    paths = [{"path": name, "weight": weight} for name, weight in weights.items()]
    (folder / "mix.json").write_text(json.dumps({"schema": 1, "paths": paths}))
    return folder


@pytest.fixture
def mixed(parts: Path, tmp_path: Path) -> Path:
    return mix(tmp_path / "mix", **{str(parts / "held"): 1, str(parts / "whole"): 9})


def keys_of(config: TrainConfig, count: int) -> list[str]:
    data = open_datasets(config)
    batches = data.training_batches(rank=0, processes=1, consumed=0, pin_memory=False)
    return [key for batch in itertools.islice(batches, count) for key in batch.key]


@pytest.mark.parametrize("file", ["", "mix.json"])
def test_a_mixture_is_trained_by_its_weights(
    parts: Path, mixed: Path, tmp_path: Path, file: str
) -> None:
    config = micro("video", mixed / file, tmp_path / "run", steps=2, validate_every=1)
    keys = keys_of(config, 50)
    weighted = ClipStream([parts / "held", parts / "whole"], weights=(1, 9), frames=2, endless=True)
    assert keys == [sample.key for sample in itertools.islice(weighted.samples(), 100)]
    assert 80 <= sum(int(key.rpartition("-")[2]) >= 20 for key in keys) <= 97
    train(config)
    assert len(losses_of(config.output)) == 2
    assert (config.output / "validation.jsonl").exists()


def test_other_mixture_weights_are_refused_when_a_run_resumes(
    parts: Path, mixed: Path, tmp_path: Path
) -> None:
    held, whole = str(parts / "held"), str(parts / "whole")
    config = micro("pretrain", mixed, tmp_path / "run", steps=1)
    train(config)
    mix(mixed, **{held: 2, whole: 18})  # the same fractions
    train(config)
    mix(mixed, **{held: 2, whole: 9})
    with pytest.raises(TrainError, match="the shards, their order or a mixture's weights are not"):
        train(config)


def test_runs_tell_orders_mixtures_and_weights_of_shards_apart(
    parts: Path, mixed: Path, tmp_path: Path
) -> None:
    held, whole = str(parts / "held"), str(parts / "whole")
    even = mix(tmp_path / "even", **{held: 1, whole: 1})
    same = mix(tmp_path / "same", **{held: 2, whole: 2})
    plain = [[held, whole], [whole, held], [held], [str(mixed)], [str(even)]]
    digests = [shards_digest(open_mixture(paths)) for paths in plain]
    assert len(set(digests)) == len(plain)
    assert shards_digest(open_mixture([str(same)])) == digests[-1]


def test_validation_takes_the_parts_that_hold_some_out(
    parts: Path, mixed: Path, tmp_path: Path
) -> None:
    data = open_datasets(micro("video", mixed, tmp_path))
    assert not data.without_val
    [clips] = data.first_clips("val", 2)
    assert set(clips.key) == {"videos-box-4", "videos-box-5"}
    both = mix(tmp_path / "both", **{str(parts / n): 1 for n in ("other", "whole", "held")})
    data = open_datasets(micro("video", both, tmp_path))
    found = [key for batch in data.first_clips("val", 3) for key in batch.key]
    assert set(found) <= {"videos-box-4", "videos-box-5", "videos-box-12"}
    assert found == [key for batch in data.first_clips("val", 3) for key in batch.key]
    assert data.mixture.having("val").weights == (1, 1)
    none = mix(tmp_path / "none", **{str(parts / "whole"): 1})
    assert open_datasets(micro("video", none, tmp_path)).without_val == [str(none)]
    with pytest.raises(DataError, match=rf"{none}: has no val split for --validate-every"):
        open_datasets(micro("video", none, tmp_path, validate_every=1))


def test_mistakes_name_the_part_of_the_mixture(parts: Path, tmp_path: Path) -> None:
    bare = write_shards(tmp_path / "bare", [without(clip(0), "mask")])
    large = write_shards(tmp_path / "large", [clip(1, size=32)])
    mixture = mix(tmp_path / "mix", **{str(parts / "held"): 1, str(bare): 1, str(large): 1})
    with pytest.raises(DataError) as refused:
        open_datasets(micro("pretrain", mixture, tmp_path))
    assert f"{bare}: 1 of 1 clips have no mask" in str(refused.value)
    assert f"5 of 16x16, such as {parts}/held/train/" in str(refused.value)
    assert f"1 of 32x32, such as {large}/train/" in str(refused.value)
    gone = mix(tmp_path / "gone", nowhere=1)
    with pytest.raises(NotADataset, match="nowhere, where nothing is"):
        open_datasets(micro("pretrain", gone, tmp_path))


def test_a_mixture_stands_alone(parts: Path, mixed: Path, tmp_path: Path) -> None:
    config = micro("video", mixed, tmp_path)
    with pytest.raises(ValueError, match=rf"{mixed} says itself what to mix: give it alone"):
        open_datasets(dataclasses.replace(config, shards=(str(parts / "held"), str(mixed))))


def test_a_split_without_clips_is_an_error(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "s", [], [clip(0)])
    with pytest.raises(NotADataset, match=rf"{shards}: its split 'train' holds no clips: `idol-"):
        train(micro("video", shards, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_batch_has_clips_of_one_size(tmp_path: Path) -> None:
    clips = [clip(0), clip(1), clip(2, size=32), clip(3, frames=1, size=48)]
    shards = write_shards(tmp_path / "s", clips, [clip(4, size=48)])
    with pytest.raises(DataError) as refused:
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
        with pytest.raises(DataError, match=f"the longest has {frames}: .*, or {advice}$"):
            open_datasets(micro("video", shards, tmp_path / "run", frames=3))


def test_fsdp_needs_a_launcher(boxes: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"--fsdp divides .* by `torchrun .* `accelerate launch`"):
        train(micro("video", boxes, tmp_path / "run", fsdp=True))
    assert not (tmp_path / "run").exists()
