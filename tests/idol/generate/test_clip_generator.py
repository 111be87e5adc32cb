"""`generator(conditions, seed)`, with models from whatever folder holds one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from idol.checkpoint import find_damage
from idol.generate.depth import depth_of
from idol.generate.errors import GenerationError
from idol.generate.generator import ClipGenerator, conditions_of
from idol.generate.loading import load_pipeline
from idol.generate.windows import Windows
from idol.model_info import DepthMeaning, NotAModelError
from idol.train.train import train
from tests.idol.generate.small import FRAMES, sd14, tiny
from tests.idol.train.micro import SIZE, clip, micro


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    generator, conditions = ClipGenerator(tiny(), steps=2), conditions_of(clip(0))
    first, again, other = (generator(conditions, seed) for seed in (5, 5, 6))
    for name in ("frames", "depth", "confidence", "depth_pictures"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.frames, other.frames)
    assert first.frames.shape == (3, SIZE, SIZE, 3)
    assert first.depth_kind == "person"
    assert first.metres is None


def test_a_low_temperature_brings_seeds_nearer_to_each_other() -> None:
    conditions = conditions_of(clip(0))

    def apart(temperature: float) -> float:
        generator = ClipGenerator(tiny(), steps=2, temperature=temperature)
        first, other = (generator(conditions, seed).frames.astype(float) for seed in (5, 6))
        return float(np.abs(first - other).mean())

    assert apart(0) == 0
    assert 0 < apart(0.3) < apart(1)


def test_depth_is_read_from_its_pictures() -> None:
    meaning = DepthMeaning(near=-1, far=1, far_at=0.75)
    made = ClipGenerator(tiny(depth=meaning), steps=2)(conditions_of(clip(0)), 1)
    depth, confidence = depth_of(made.depth_pictures, "hot")
    assert np.array_equal(made.depth, depth)
    assert np.array_equal(made.confidence, confidence)
    assert made.metres is not None
    assert np.array_equal(np.isnan(made.metres), depth > 0.875)


def test_a_frames_depth_is_grey() -> None:
    model = tiny(depth=DepthMeaning(kind="frame", near_white=True))
    made = ClipGenerator(model, steps=2)(conditions_of(clip(0)), 1)
    assert made.depth_kind == "frame"
    np.testing.assert_allclose(made.depth, 1 - made.depth_pictures.mean(axis=-1) / 255, atol=1e-6)


def test_it_is_resumed_to_the_byte() -> None:
    generator = ClipGenerator(tiny(), steps=4, scheduler="ddim")
    conditions = conditions_of(clip(0))
    kept = []
    whole = generator(conditions, 3, on_step=lambda done, x: kept.append((done, x.clone())))
    assert [done for done, _ in kept] == [1, 2, 3, 4]
    rest = generator(conditions, 3, resume=kept[1])
    assert np.array_equal(rest.frames, whole.frames)
    assert np.array_equal(generator(conditions, 3, resume=kept[3]).frames, whole.frames)


def test_longer_videos_pass_in_windows_of_the_trained_length() -> None:
    model = tiny()
    lengths: set[int] = set()
    model.unet.register_forward_hook(lambda _, given, __: lengths.add(given[0].shape[2]))
    long = conditions_of(clip(0, frames=7))
    ClipGenerator(model, steps=1)(long, 0)
    assert lengths == {FRAMES}
    ClipGenerator(model, steps=1, windows=Windows(length=5, overlap=2))(long, 0)
    assert lengths == {FRAMES, 5}


def test_an_unknown_scheduler_is_named() -> None:
    with pytest.raises(GenerationError, match="no scheduler 'dimm'"):
        ClipGenerator(tiny(), scheduler="dimm")(conditions_of(clip(0)), 0)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_the_final_model_and_a_checkpoint_of_training_generate_alike(
    boxes: Path, tmp_path: Path, ema: float
) -> None:
    train(micro("image", boxes, tmp_path / "image", steps=2))
    train(micro("video", boxes, tmp_path / "run", init_from=tmp_path / "image", steps=2, ema=ema))
    model, conditions = tmp_path / "run" / "model", conditions_of(clip(0))
    assert (model / "model_index.json").is_file()
    assert (model / "idol.json").is_file()
    final = ClipGenerator.from_folder(tmp_path / "run", steps=2)(conditions, 0)
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000002"
    assert not (checkpoint / "model" / "model_index.json").exists()
    earlier = ClipGenerator.from_folder(checkpoint / "model", steps=2)(conditions, 0)
    assert np.array_equal(final.frames, earlier.frames)
    assert np.array_equal(final.depth, earlier.depth)
    assert find_damage(checkpoint) is None


def test_a_folder_that_lacks_a_part_is_named(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "vae")
    with pytest.raises(NotAModelError, match="lacks vae/"):
        load_pipeline(tmp_path / "model")
    (tmp_path / "model" / "model_index.json").write_text('{"_class_name": "StableDiffusion"}')
    with pytest.raises(NotAModelError, match="holds a StableDiffusion"):
        load_pipeline(tmp_path / "model")
    with pytest.raises(NotAModelError, match="holds no trained model"):
        load_pipeline(tmp_path / "model" / "unet")


def test_a_checkpoint_takes_another_vae_and_clip(tmp_path: Path) -> None:
    pipe = sd14()
    pipe.vae.save_pretrained(tmp_path / "vae")
    pipe.image_encoder.save_pretrained(tmp_path / "clip")
    pipe.save_pretrained(tmp_path / "model")
    loaded = load_pipeline(
        tmp_path / "model", vae=tmp_path / "vae", image_encoder=tmp_path / "clip"
    )
    assert loaded.vae_scale_factor == 8
