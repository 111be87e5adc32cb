"""What the first author's nearest code does otherwise, as switches (docs/method.md)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from idol.config import ConfigError, DualModalUNetConfig
from idol.data.preparation import Preparation
from idol.diffusion.noise import Randomness
from idol.diffusion.sampling import guided_noise, sample
from idol.diffusion.schedule import ddim_scheduler
from idol.encoders import PatchCodec, TinyEncoder
from idol.generate.generator import ClipGenerator, conditions_of
from idol.generate.given import given_clips
from idol.model import DualModalDenoiser, set_trainable, stage_config
from idol.model.stages import is_trained
from idol.train.resume import check_same_run, described
from idol.train.stopping import TrainError
from idol.train.train import train
from shards.stream import ClipBatch
from tests.idol.diffusion.stubs import Stub, conditions, draw
from tests.idol.generate.small import FRAMES, given, seeded, tiny
from tests.idol.small import randomise
from tests.idol.train.micro import MODEL, SIZE, clip, configured, losses_of, micro, weights_of

CPU = torch.device("cpu")


def batch(count: int = 6) -> ClipBatch:
    pixels = torch.randint(0, 256, (count, 2, 8, 8, 3), dtype=torch.uint8, generator=seeded(4))
    mask = torch.full((count, 8, 8), 200, dtype=torch.uint8)
    return ClipBatch(
        key=tuple(map(str, range(count))),
        positions=tuple(range(count)),
        consumed=count,
        frame_indices=torch.zeros(count, 2),
        rgb=pixels,
        depth=pixels,
        pose=pixels,
        foreground=pixels[:, 0],
        foreground_mask=mask,
        background=pixels[:, 0],
        background_mask=mask,
    )


class TestUnconditional:
    def test_training_drops_the_image_before_its_encoder(self) -> None:
        encoder, clips, random = TinyEncoder(8), batch(20), Randomness(1)
        prepare = Preparation(PatchCodec(), encoder, 8, unconditional="zeroed_image")
        tokens = prepare(clips, CPU, random=random, dropout=0.5).conditions.encoded_foreground_BTD
        dropped = random.dropped(clips.positions, 0.5)
        assert 0 < dropped.sum() < len(dropped)
        zeros = (torch.zeros_like(x) for x in (clips.foreground, clips.foreground_mask))
        nothing = encoder(*zeros)
        kept = encoder(clips.foreground, clips.foreground_mask)
        torch.testing.assert_close(tokens[dropped], nothing[dropped])
        torch.testing.assert_close(tokens[~dropped], kept[~dropped])
        assert nothing.abs().min() > 0

    def test_sampling_leaves_the_same_out(self) -> None:
        prepare = Preparation(PatchCodec(), TinyEncoder(8), 8, unconditional="zeroed_image")
        clips = batch()
        without = prepare(clips, CPU).conditions.without_foreground().encoded_foreground_BTD
        random = Randomness(0)
        all_dropped = prepare(clips, CPU, random=random, dropout=1.0).conditions
        torch.testing.assert_close(without, all_dropped.encoded_foreground_BTD)

    def test_guidance_leans_on_it_batched_or_apart(self) -> None:
        known = dataclasses.replace(conditions(), unconditional_BTD=draw(2, 5, 20, seed=9))

        def of_tokens(latents: torch.Tensor, _: object, tokens: torch.Tensor) -> torch.Tensor:
            return latents + tokens.sum(dim=(1, 2))[:, None, None, None, None, None]

        latents = draw(2, 2, 3, 4, 8, 8)
        without, told = (
            tokens.sum(dim=(1, 2))[:, None, None, None, None, None]
            for tokens in (known.unconditional_BTD, known.encoded_foreground_BTD)
        )
        for apart in (False, True):
            got = guided_noise(
                Stub(of_tokens), latents, torch.tensor([7, 7]), known, guidance=3.0, apart=apart
            )
            torch.testing.assert_close(got, latents + without + 3 * (told - without))

    def test_a_pipeline_obeys_the_models_own(self) -> None:
        settings = dataclasses.replace(MODEL, unconditional="zeroed_image")
        pipe, inputs = tiny(settings), given()
        pipe.set_progress_bar_config(disable=True)
        noise = torch.randn(1, 2, FRAMES, 48, SIZE // 4, SIZE // 4, generator=seeded(1))
        images = {
            name: torch.from_numpy(inputs[name])[None] for name in ("foreground", "foreground_mask")
        }
        with torch.no_grad():
            without = pipe.image_encoder(
                images["foreground"], torch.zeros_like(images["foreground_mask"])
            )
            told = pipe.image_encoder(images["foreground"], images["foreground_mask"])
        made = pipe(
            **inputs, latents=noise, num_inference_steps=3, guidance_scale=4, output_type="latent"
        ).frames
        with torch.no_grad():
            known = pipe.encode_conditions(
                given_clips(*(inputs[n] for n in _ORDER)), pipe.size, pipe.size
            )
        assert known.unconditional_BTD is not None
        assert torch.equal(known.unconditional_BTD, without)
        assert torch.equal(known.encoded_foreground_BTD, told)
        plain = sample(
            DualModalDenoiser(pipe.unet, pipe.controlnet, pipe.foreground_projection),
            known,
            noise,
            scheduler=ddim_scheduler(pipe.vae.bound),
            steps=3,
            guidance=4,
        )
        assert torch.equal(made, plain)
        zeros = sample(
            DualModalDenoiser(pipe.unet, pipe.controlnet, pipe.foreground_projection),
            dataclasses.replace(known, unconditional_BTD=None),
            noise,
            scheduler=ddim_scheduler(pipe.vae.bound),
            steps=3,
            guidance=4,
        )
        assert not torch.allclose(made, zeros)


_ORDER = ("foreground", "foreground_mask", "background", "background_mask", "poses")


class TestTemporalNorm:
    def test_temporal_attention_has_none_of_its_own(self, config: DualModalUNetConfig) -> None:
        shared = dataclasses.replace(config, temporal_norm="cross_attention")
        names = {name for name, _ in DualModalDenoiser.from_config(shared).named_parameters()}
        own = {name for name, _ in DualModalDenoiser.from_config(config).named_parameters()}
        assert own - names == {name for name in own if ".temporal.norm." in name}
        assert not names - own
        assert len(own - names) > 0

    def test_the_cross_attentions_norm_counts_before_it(
        self, config: DualModalUNetConfig, inputs: dict[str, torch.Tensor]
    ) -> None:
        shared = dataclasses.replace(config, temporal_norm="cross_attention")
        model, other = DualModalDenoiser.from_config(shared), DualModalDenoiser.from_config(config)
        randomise(model)
        weights = model.state_dict()
        own_norms = {
            name: weights[name.replace(".temporal.norm.", ".norm2.")]
            for name in other.state_dict()
            if ".temporal.norm." in name
        }
        other.load_state_dict({**weights, **own_norms})
        with torch.no_grad():
            got, expected = (m(**inputs).noise_pred_BMFCHW for m in (model, other))
        torch.testing.assert_close(got, expected)

    def test_every_parameter_is_trained(
        self, config: DualModalUNetConfig, inputs: dict[str, torch.Tensor]
    ) -> None:
        shared = dataclasses.replace(config, temporal_norm="cross_attention")
        model = DualModalDenoiser.from_config(stage_config(shared, "video"))
        randomise(model)
        model(**inputs).noise_pred_BMFCHW.square().sum().backward()
        assert all(p.grad is not None for p in set_trainable(model, "video"))


class TestWhatPreTrainingTrains:
    def test_transformer_blocks_without_what_surrounds_them(
        self, config: DualModalUNetConfig
    ) -> None:
        model = DualModalDenoiser.from_config(stage_config(config, "pretrain"))
        names = [name for name, _ in model.named_parameters()]
        ours = {name for name in names if is_trained(name, "pretrain")}
        theirs = {name for name in names if is_trained(name, "pretrain", "transformer_blocks")}
        assert theirs < ours
        surrounding = (".norm.", ".proj_in.", ".proj_out.")
        assert all(any(part in name for part in surrounding) for name in ours - theirs)
        assert all(".transformer_blocks." not in name for name in ours - theirs)
        assert len(set_trainable(model, "pretrain", "transformer_blocks")) == len(theirs)

    def test_of_fresh_weights_it_would_train_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="trains nothing of fresh weights"):
            configured("pretrain", "tiny", "-", tmp_path, pretrained_layers="transformer_blocks")


def test_no_gradient_clip_is_a_clip_that_nothing_reaches(boxes: Path, tmp_path: Path) -> None:
    runs = {}
    for largest in (0.0, 1e9, 1e-9):
        output = tmp_path / str(largest)
        train(micro("image", boxes, output, clip=largest, steps=2))
        runs[largest] = weights_of(output / "model"), losses_of(output)[0]["gradient_norm"]
    assert runs[0.0] == runs[1e9]
    assert runs[0.0][1] == runs[1e-9][1]
    assert runs[0.0][0] != runs[1e-9][0]


class TestOneDrawForABatch:
    def test_all_or_none(self) -> None:
        random = Randomness(3)
        draws = [random.dropped(range(n, n + 4), 0.5, together=True) for n in range(0, 80, 4)]
        assert all(len(set(draw.tolist())) == 1 for draw in draws)
        firsts = [bool(random.dropped([n], 0.5)) for n in range(0, 80, 4)]
        assert [bool(draw[0]) for draw in draws] == firsts
        assert len(set(firsts)) == 2

    def test_a_run_resumes_with_its_batch_size_alone(self, boxes: Path, tmp_path: Path) -> None:
        for drawn, accumulation, refused in (("sample", 2, False), ("batch", 2, True)):
            before = micro("image", boxes, tmp_path, dropout_draw=drawn)
            now = micro(
                "image",
                boxes,
                tmp_path,
                dropout_draw=drawn,
                batch_size=1,
                accumulation=accumulation,
            )
            saved, given_now = (
                described(config, processes=1, shards_digest="") for config in (before, now)
            )
            if refused:
                with pytest.raises(TrainError, match=r"run\.batch_size"):
                    check_same_run(saved, given_now, tmp_path)
            else:
                check_same_run(saved, given_now, tmp_path)


def test_a_model_trained_with_the_switches_generates_with_them(boxes: Path, tmp_path: Path) -> None:
    model = dataclasses.replace(
        MODEL,
        unconditional="zeroed_image",
        temporal_norm="cross_attention",
        consistency_layers="all",
    )
    options = {"model": model, "steps": 2, "dropout_draw": "batch", "foreground_dropout": 0.5}
    train(micro("image", boxes, tmp_path / "image", **options))
    folder = train(
        micro("video", boxes, tmp_path / "video", init_from=tmp_path / "image", **options)
    )
    generator = ClipGenerator.from_folder(folder, steps=2)
    settings = generator.pipeline.unet.settings
    assert settings == model
    assert np.isfinite(generator(conditions_of(clip(0)), 0).depth).all()
