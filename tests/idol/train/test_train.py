"""What a stage trains, where it starts, and what stops it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from idol.checkpoint import Checkpoints
from idol.config.patches import far_of, spread_of
from idol.config.presets import with_patches
from idol.data.datasets import DataError, open_datasets
from idol.generate.loading import load_pipeline
from idol.model.stages import is_trained
from idol.model_info import read_info
from idol.saved import load_trained
from idol.train import loop
from idol.train.cli import parse
from idol.train.distributed import make_accelerator
from idol.train.initialize import build
from idol.train.loop import step_losses
from idol.train.stopping import DivergedError, TrainError
from idol.train.train import train
from shards.sample.codec import encode_clip
from shards.writer import commit_shard
from tests.idol.train.micro import (
    MODEL,
    clip,
    losses_of,
    micro,
    weights_of,
    without,
    write_shards,
)

PEOPLE = Path(__file__).parents[3] / "examples" / "people-128.tar"
# The same model, predicting the change.
CHANGE = dataclasses.replace(
    MODEL, prediction="change", change_spread=spread_of(4), far_latent=far_of(4)
)


@pytest.fixture(scope="module")
def chain(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All three stages, each from the one before."""
    root = tmp_path_factory.mktemp("chain")
    outputs: dict[str, Path] = {}
    before: Path | None = None
    for stage in ("pretrain", "image", "video"):
        settings = {"init_from": before, "steps": 2, "mirror": 0.0}
        outputs[stage] = before = root / stage
        train(micro(stage, boxes, before, **settings))
    return outputs


def parameters(output: Path) -> dict[str, torch.Tensor]:
    return dict(load_trained(output)[0].denoiser.named_parameters())


def test_stages_follow_each_other(chain: dict[str, Path]) -> None:
    assert set(losses_of(chain["pretrain"])[0]) >= {"total", "denoise_video"}
    assert "denoise_depth" not in losses_of(chain["pretrain"])[0]
    assert losses_of(chain["image"])[0]["motion"] == 0
    assert losses_of(chain["image"])[1]["cross_attention"] > 0
    assert losses_of(chain["video"])[1]["motion"] > 0
    for stage, output in chain.items():
        trained, info = load_trained(output)
        assert (info.stage, info.preset, info.step) == (stage, "tiny", 2)
        assert trained.denoiser.settings.temporal_layers == (stage == "video")


def test_each_stage_moves_what_it_trains_alone(boxes: Path, tmp_path: Path) -> None:
    train(micro("pretrain", boxes, tmp_path / "a", steps=2, weight_decay=0.0, warm_up=0.0))
    train(micro("pretrain", boxes, tmp_path / "b", steps=2, learning_rate=1e-12))
    moved, kept = parameters(tmp_path / "a"), parameters(tmp_path / "b")
    for name, parameter in moved.items():
        same = torch.allclose(parameter, kept[name], rtol=0, atol=1e-7)
        silent = "controlnet" in name or "cross_modal" in name
        if not is_trained(name, "pretrain"):
            assert same, name
        elif not silent and name.endswith("attn2.to_q.weight"):
            assert not same, name


def test_the_controlnet_is_copied_from_the_pretrained_unet(
    boxes: Path, tmp_path: Path, chain: dict[str, Path]
) -> None:
    config = micro("image", boxes, tmp_path, init_from=chain["pretrain"], steps=1)
    train(
        dataclasses.replace(
            config, optimizer=dataclasses.replace(config.optimizer, learning_rate=1e-12)
        )
    )
    before, after = parameters(chain["pretrain"]), parameters(tmp_path)
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q.weight"
    assert not torch.allclose(before[f"controlnet.{name}"], before[f"unet.{name}"], atol=1e-6)
    torch.testing.assert_close(after[f"controlnet.{name}"], before[f"unet.{name}"])


@pytest.mark.parametrize(("stage", "source"), [("video", "pretrain"), ("pretrain", "video")])
def test_a_stage_refuses_the_wrong_one_before_it(
    boxes: Path, tmp_path: Path, chain: dict[str, Path], stage: Any, source: str
) -> None:
    with pytest.raises(TrainError, match=f"trained in stage {source}; stage {stage} starts from"):
        train(micro(stage, boxes, tmp_path, init_from=chain[source]))


def test_a_model_goes_on_as_a_variant_of_other_losses_alone(
    boxes: Path, tmp_path: Path, chain: dict[str, Path]
) -> None:
    again = micro("video", boxes, tmp_path, init_from=chain["video"], steps=1)
    no_losses = dataclasses.replace(again.loss, motion_weight=0.0, cross_attention_weight=0.0)
    config = dataclasses.replace(again, variant="cross-modal-attention", loss=no_losses)
    train(config)
    assert load_trained(tmp_path)[1].variant == "cross-modal-attention"
    assert losses_of(tmp_path)[0]["motion"] == 0


def test_a_model_goes_on_with_its_maps_shared_by_both_streams(
    boxes: Path, tmp_path: Path, chain: dict[str, Path]
) -> None:
    again = micro("video", boxes, tmp_path, init_from=chain["video"], steps=1)
    no_losses = dataclasses.replace(again.loss, motion_weight=0.0, cross_attention_weight=0.0)
    shared = dataclasses.replace(again.model, shared_maps="average")
    config = dataclasses.replace(again, variant="average-maps", loss=no_losses, model=shared)
    begun = build(dataclasses.replace(config, init_from=chain["video"] / "model"))
    kept, own = load_trained(chain["video"])[0].denoiser.state_dict(), begun.denoiser.state_dict()
    assert kept.keys() == own.keys()
    assert all(torch.equal(kept[name], own[name]) for name in kept)
    train(config)
    trained, info = load_trained(tmp_path)
    assert (info.variant, trained.denoiser.settings.shared_maps) == ("average-maps", "average")


def test_a_model_goes_on_as_no_variant_of_other_weights(
    boxes: Path, tmp_path: Path, chain: dict[str, Path]
) -> None:
    again = micro("video", boxes, tmp_path, init_from=chain["video"], steps=1)
    none = {"motion_weight": 0.0, "cross_attention_weight": 0.0}
    config = dataclasses.replace(
        again,
        variant="shared-unet",
        loss=dataclasses.replace(again.loss, **none),
        model=dataclasses.replace(again.model, cross_modal_attention="none"),
    )
    with pytest.raises(TrainError, match="is of variant idol: give --variant idol"):
        train(config)


def test_a_trained_output_is_not_overwritten(boxes: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(TrainError, match="holds a trained model already"):
        train(micro("pretrain", boxes, tmp_path))


def test_starting_from_an_unfinished_run_is_logged(
    boxes: Path, tmp_path: Path, chain: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    unfinished = tmp_path / "before"
    shutil.copytree(chain["pretrain"], unfinished)
    shutil.rmtree(unfinished / "model")
    train(micro("image", boxes, tmp_path / "run", init_from=unfinished, steps=1))
    assert f"{unfinished} is not finished: starting from {unfinished}" in caplog.text


def test_a_checkpoint_of_averaged_weights_is_gone_on_from_as_its_final_model_is(
    boxes: Path, tmp_path: Path
) -> None:
    model = train(micro("image", boxes, tmp_path / "before", steps=2, ema=0.5))
    [checkpoint] = Checkpoints(tmp_path / "before" / "checkpoints").listed()
    config = micro("image", boxes, tmp_path / "after")
    begun = [
        build(dataclasses.replace(config, init_from=before))
        for before in (model, checkpoint / "model")
    ]
    for part in ("denoiser", "image_encoder"):
        final, own = (getattr(trained, part).state_dict() for trained in begun)
        assert all(torch.equal(final[name], own[name]) for name in final)


def spoil(monkeypatch: pytest.MonkeyPatch, steps: range) -> None:
    """Make the loss of these steps not a number."""
    taken = iter(range(1000))

    def spoiled(*args: Any, **options: Any) -> Any:
        losses, norms = step_losses(*args, **options)
        factor = float("nan") if next(taken) in steps else 1.0
        return dataclasses.replace(losses, total=losses.total * factor), norms

    monkeypatch.setattr(loop, "step_losses", spoiled)


def test_a_step_without_a_finite_loss_changes_nothing(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, range(1, 3))
    train(micro("pretrain", boxes, tmp_path, steps=3))
    lines = losses_of(tmp_path)
    assert [line["skipped_steps"] for line in lines] == [0, 1, 2]
    assert lines[1]["total"] is None
    monkeypatch.undo()
    train(micro("pretrain", boxes, tmp_path / "one", steps=3, checkpoint_every=1, keep=3))
    first = parameters(tmp_path / "one/checkpoints/step-00000001/model")
    for name, parameter in parameters(tmp_path).items():
        assert torch.equal(parameter, first[name]), name


def test_too_many_in_a_row_stop_the_run_and_name_its_clips(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, range(1, 100))
    config = micro("pretrain", boxes, tmp_path, steps=20, max_skipped=3)
    with pytest.raises(
        DivergedError, match=r"4 steps in a row .* step 5, .* videos-box-\d, videos"
    ):
        train(config)
    assert read_info(tmp_path / "checkpoints/step-00000005/model").step == 5
    monkeypatch.undo()
    train(config)  # once the mistake is corrected, it trains
    assert len(losses_of(tmp_path)) == 20


def test_out_of_memory_says_what_would_fit(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(loop, "step_losses", full)
    with pytest.raises(TrainError) as stopped:
        train(micro("pretrain", boxes, tmp_path, batch_size=4, cpu=False))
    message = str(stopped.value)
    assert "Tried to allocate 2 GiB" in message
    for option in ("--batch-size 2 --accumulation 2", "--gradient-checkpointing", "--adam-8bit"):
        assert option in message
    assert "--fsdp" not in message  # a single process has no other to divide with


def test_a_process_may_train_on_another_device_than_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def device(cpu: bool) -> str:
        return make_accelerator(micro("video", tmp_path, tmp_path, cpu=cpu)).device.type

    assert device(cpu=True) == "cpu"
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "meta")  # as if that were the GPU
    assert device(cpu=False) == "meta"


def test_a_stage_names_all_that_its_shards_lack(tmp_path: Path) -> None:
    bare = [without(clip(i), "depth_person", "pose") for i in range(3)]
    shards = write_shards(tmp_path / "bare", bare)
    config = micro("video", shards, tmp_path / "run", frames=5, validate_every=10)
    with pytest.raises(DataError) as refused:
        train(config)
    message = str(refused.value)
    assert f"{shards}: no clip has 5 frames, the longest has 3: `idol-prep build --clip" in message
    assert "3 of 3 clips have no pose: make it with `idol-prep build --pose lite`" in message
    assert (
        "3 of 3 clips have no depth_person: make it with `idol-prep build --depth lite`" in message
    )
    assert "has no val split for --validate-every: `idol-prep build --val-fraction" in message
    assert not (tmp_path / "run").exists()


def test_held_out_clips_are_checked_as_well(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "s", [clip(i) for i in range(3)], [clip(3, frames=1)])
    config = micro("video", shards, tmp_path / "run", validate_every=10)
    with pytest.raises(DataError, match="split val: no clip has 2 frames, the longest has 1"):
        train(config)


@pytest.mark.parametrize("count", [1, 3, 5, 6])
def test_first_clips_are_as_many_as_asked_for(boxes: Path, tmp_path: Path, count: int) -> None:
    batches = open_datasets(micro("image", boxes, tmp_path)).first_clips("train", count)
    assert sum(len(batch) for batch in batches) == count


@pytest.mark.parametrize("split", ["all", "val"])
def test_first_clips_are_of_the_only_split_there_is(tmp_path: Path, split: str) -> None:
    clips = [clip(seed) for seed in range(2)]
    commit_shard(tmp_path / "shards", split, 0, [(c.key, encode_clip(c)) for c in clips])
    data = open_datasets(micro("image", tmp_path / "shards", tmp_path / "run"))
    [batch] = data.first_clips("train", 2)
    assert batch.key == ("videos-box-0", "videos-box-1")


def test_a_folder_that_a_run_has_not_made_stays(boxes: Path, tmp_path: Path) -> None:
    (tmp_path / "latents").mkdir()
    (tmp_path / "latents" / "mine").touch()
    train(micro("image", boxes, tmp_path, steps=1))
    assert (tmp_path / "latents" / "mine").exists()


def test_pretraining_needs_masks_alone(tmp_path: Path) -> None:
    some = [
        without(clip(0), "depth_person", "pose", "mask"),
        without(clip(1), "depth_person", "pose"),
    ]
    shards = write_shards(tmp_path / "some", some)
    with pytest.raises(DataError, match="1 of 2 clips have no mask"):
        train(micro("pretrain", shards, tmp_path / "run"))
    enough = write_shards(tmp_path / "enough", [some[1], without(clip(2), "depth_person", "pose")])
    for cut in ("haop", "hap"):
        name = "hap" if cut == "hap" else "idol"
        train(micro("pretrain", enough, tmp_path / cut, steps=1, cut=cut, variant=name))
    first = [losses_of(tmp_path / cut)[0]["total"] for cut in ("haop", "hap")]
    assert first[0] != first[1]


def test_a_model_goes_on_with_holes_that_are_filled(boxes: Path, tmp_path: Path) -> None:
    """What it was before is said by its own settings; what follows is as it is unless told."""
    train(micro("image", boxes, tmp_path / "grey"))
    filled = dataclasses.replace(MODEL, background_hole="filled")
    runs = {}
    for name, model in (("same", MODEL), ("other", filled)):
        train(micro("video", boxes, tmp_path / name, model=model, init_from=tmp_path / "grey"))
        runs[name] = losses_of(tmp_path / name)[0]["total"]
    assert runs["same"] != runs["other"]
    assert read_info(tmp_path / "other" / "model").settings.background_hole == "filled"
    options = f"--stage video --preset tiny --shards {boxes} --output {tmp_path / 'next'}"
    following = parse([*options.split(), "--init-from", str(tmp_path / "other")])
    assert following.model.background_hole == "filled"


def test_a_model_goes_on_with_the_depth_of_who_is_posed(boxes: Path, tmp_path: Path) -> None:
    """A convolution more, which learns; and what follows has it unless told."""
    train(micro("image", boxes, tmp_path / "plain", model=CHANGE))
    shown = dataclasses.replace(CHANGE, posed_foreground=True, posed_depth=True)
    config = micro("image", PEOPLE, tmp_path / "deep", model=shown, init_from=tmp_path / "plain")
    model = train(config)
    trained, info = load_trained(model)
    assert trained.denoiser.unet.posed_depth_conv.weight.any()
    assert info.settings.posed_depth
    options = f"--stage video --preset tiny --shards {PEOPLE} --output {tmp_path / 'next'}"
    following = parse([*options.split(), "--init-from", str(model)])
    assert following.model == dataclasses.replace(following.model, posed_depth=True)
    other = dataclasses.replace(shown, posed_depth=False)
    train(micro("video", PEOPLE, tmp_path / "without", model=other, init_from=model))
    left, _ = load_trained(tmp_path / "without" / "model")
    assert not hasattr(left.denoiser.unet, "posed_depth_conv")


def test_a_model_goes_on_with_larger_patches_and_a_matte_and_resumes(
    boxes: Path, tmp_path: Path
) -> None:
    """What is saved says how large they are: it is sampled without being told."""
    small = micro("image", boxes, tmp_path / "small", model=CHANGE)
    train(small)
    settings: dict[str, Any] = {
        "size": 32,
        "patch": 8,
        "init_from": tmp_path / "small",
        "model": dataclasses.replace(with_patches(CHANGE, 8), matte=True),
    }
    config = micro("image", boxes, tmp_path / "whole", **settings, checkpoint_every=2)
    model = train(config)
    trained, info = load_trained(model)
    assert (info.size, info.vae_factor, trained.codec.factor) == (32, 8, 8)
    assert trained.denoiser.unet.matte_conv.weight.any()
    assert load_pipeline(model).vae.factor == 8
    halved = shutil.copytree(config.output, tmp_path / "halved")
    shutil.rmtree(halved / "model")
    newest = Checkpoints(halved / "checkpoints").newest()
    assert newest is not None
    shutil.rmtree(newest)
    shutil.rmtree(tmp_path / "small")
    train(dataclasses.replace(config, output=halved))
    assert weights_of(halved / "model") == weights_of(model)
    with pytest.raises(TrainError, match="latent_channels: saved 192, given 48"):
        train(micro("image", boxes, tmp_path / "back", model=CHANGE, init_from=model))
    with pytest.raises(TrainError, match="larger patches than --patch 4"):
        train(micro("image", boxes, tmp_path / "back", model=CHANGE, init_from=model, patch=4))
