"""What makes the U-Net dual-modal: labels, exchange, background, frames, and what is recorded."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from idol.config.model import Prediction
from idol.diffusion.schedule import noise_of_v, noise_schedule, signal_fraction
from idol.model import (
    DEPTH,
    VIDEO,
    DualModalDenoiser,
    DualModalUNet,
    DualModalUNetConfig,
)
from idol.model.initial_weights import with_settings
from tests.idol.small import randomise

Inputs = dict[str, torch.Tensor]


def build(config: DualModalUNetConfig, **switches: Any) -> DualModalDenoiser:
    torch.manual_seed(0)
    model = DualModalDenoiser.from_config(dataclasses.replace(config, **switches))
    randomise(model)
    return model


def predict(model: DualModalDenoiser, inputs: Inputs, **options: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs, **options).noise_pred_BMFCHW


@pytest.mark.parametrize("placement", ["block_end", "layer_end"])
def test_with_equal_embeddings_swapping_the_streams_swaps_the_outputs(
    config: DualModalUNetConfig, inputs: Inputs, placement: str
) -> None:
    model = build(config, cross_modal_attention=placement)
    for part in (model.unet, model.controlnet):
        part.modality_embed.weight.data[1] = part.modality_embed.weight.data[0]
    swapped = {**inputs, "latents_BMFCHW": inputs["latents_BMFCHW"].flip(1)}
    torch.testing.assert_close(
        predict(model, swapped), predict(model, inputs).flip(1), rtol=1e-4, atol=1e-5
    )


def test_the_label_tells_the_streams_apart(trained: DualModalDenoiser, inputs: Inputs) -> None:
    swapped = {**inputs, "latents_BMFCHW": inputs["latents_BMFCHW"].flip(1)}
    difference = predict(trained, swapped).flip(1) - predict(trained, inputs)
    assert difference.abs().max() > 1e-2
    relabelled = predict(trained, swapped, modalities=(DEPTH, VIDEO)).flip(1)
    torch.testing.assert_close(relabelled, predict(trained, inputs), rtol=1e-4, atol=1e-5)


def test_streams_exchange_only_through_cross_modal_attention(
    config: DualModalUNetConfig, inputs: Inputs
) -> None:
    changed = inputs["latents_BMFCHW"].clone()
    changed[:, DEPTH] += 1
    for placement, exchanges in (("block_end", True), ("layer_end", True), ("none", False)):
        model = build(config, cross_modal_attention=placement)
        before = predict(model, inputs)[:, VIDEO]
        after = predict(model, {**inputs, "latents_BMFCHW": changed})[:, VIDEO]
        assert torch.allclose(before, after, atol=1e-6) is not exchanges


def test_cross_modal_attention_pairs_the_streams_of_one_frame(trained: DualModalDenoiser) -> None:
    from idol.model import ClipLayout

    layer, layout = trained.unet.mid_block.cross_modal, ClipLayout(2, 2, 3)
    x = torch.randn(12, 32, 4, 4)
    with torch.no_grad():
        before = layout.split(layer(x, layout))
        x_changed = x.clone()
        layout.split(x_changed)[0, DEPTH, 1] += 1
        after = layout.split(layer(x_changed, layout))
    touched = (before != after).flatten(3).any(dim=3).nonzero().tolist()
    assert touched == [[0, VIDEO, 1], [0, DEPTH, 1]]


def test_pre_training_runs_on_video_alone(trained: DualModalDenoiser, inputs: Inputs) -> None:
    video = {**inputs, "latents_BMFCHW": inputs["latents_BMFCHW"][:, :1]}
    del video["pose_BFCHW"]
    assert predict(trained, video, modalities=(VIDEO,)).shape == (2, 1, 3, 4, 8, 8)


def test_copied_background_convolution_adds_the_latents(config: DualModalUNetConfig) -> None:
    unet = DualModalUNet(config)
    noisy, background = torch.randn(2, 3, 4, 8, 8)
    torch.testing.assert_close(
        unet.conv_in(noisy) + unet.background_conv(background), unet.conv_in(noisy + background)
    )


def test_zero_background_convolution_is_the_base_model(
    config: DualModalUNetConfig, inputs: Inputs
) -> None:
    model = DualModalDenoiser.from_config(dataclasses.replace(config, background_init="zero"))
    other = {**inputs, "background_BCHW": torch.randn(2, 4, 8, 8)}
    assert torch.equal(predict(model, inputs), predict(model, other))


@pytest.mark.parametrize("prediction", ["noise", "change"])
def test_a_background_of_each_frame_is_that_frames(
    config: DualModalUNetConfig, inputs: Inputs, prediction: Prediction
) -> None:
    """The same in all frames it is the clip's; another one in a frame is seen by the clip."""
    numbers = (1.0,) * 4 if prediction == "change" else ()
    model = DualModalDenoiser.from_config(
        dataclasses.replace(
            config, prediction=prediction, change_spread=numbers, far_latent=numbers
        )
    )
    frames = inputs["latents_BMFCHW"].shape[2]
    still = inputs["background_BCHW"][:, None].repeat(1, frames, 1, 1, 1)
    expected = predict(model, inputs)
    got = predict(model, {**inputs, "background_BCHW": still})
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    moved = still.clone()
    moved[:, 1] += 1
    changed = predict(model, {**inputs, "background_BCHW": moved}) - expected
    assert changed[:, :, 1].abs().mean() > changed[:, :, 0].abs().mean()


def test_of_v_it_makes_the_noise(config: DualModalUNetConfig, inputs: Inputs) -> None:
    noise_model = DualModalDenoiser.from_config(config)
    v_model = DualModalDenoiser.from_config(dataclasses.replace(config, prediction="v"))
    v_model.load_state_dict(noise_model.state_dict())
    v = predict(noise_model, inputs)
    expected = noise_of_v(v, inputs["latents_BMFCHW"], inputs["timesteps_B"])
    assert torch.equal(predict(v_model, inputs), expected)
    # At the last timestep a wrong v costs the latents little: the noise is nearly what is given.
    late = {**inputs, "timesteps_B": torch.full_like(inputs["timesteps_B"], 999)}
    rest = predict(v_model, late) - (1 - 0.00466) ** 0.5 * inputs["latents_BMFCHW"]
    torch.testing.assert_close(
        rest, 0.00466**0.5 * predict(noise_model, late), rtol=0.01, atol=1e-3
    )


@pytest.mark.parametrize("posed", [False, True])
def test_of_the_change_it_makes_the_noise(
    config: DualModalUNetConfig, inputs: Inputs, posed: bool
) -> None:
    """What it sees and what it says are the change; the background is added to video alone.

    Video's is smaller against a background with the posed person; depth's is as it was.
    """
    spread, far = (2.0, 0.5, 0.1, 1.0), (3.0, 0.0, 0.0, 1.0)
    noise_model = DualModalDenoiser.from_config(config)
    told = {"prediction": "change", "change_spread": spread, "far_latent": far}
    model = DualModalDenoiser.from_config(
        dataclasses.replace(config, posed_foreground=posed, posed_spread=0.25, **told)
    )
    model.load_state_dict(noise_model.state_dict())
    origin = torch.stack(
        [inputs["background_BCHW"], torch.tensor(far)[:, None, None].expand(2, 4, 8, 8)], dim=1
    )[:, :, None]
    of_stream = torch.tensor([0.25 if posed else 1.0, 1.0])[:, None, None, None, None]
    units = of_stream * torch.tensor(spread)[:, None, None]
    fraction = signal_fraction(inputs["timesteps_B"])[:, None, None, None, None, None]
    noisy = inputs["latents_BMFCHW"]
    seen = (noisy - fraction.sqrt() * origin) / (fraction * units**2 + 1 - fraction).sqrt()
    said = predict(noise_model, {**inputs, "latents_BMFCHW": seen})
    clean = origin + units * said
    torch.testing.assert_close(
        fraction.sqrt() * clean + (1 - fraction).sqrt() * predict(model, inputs), noisy
    )


def test_depth_changes_from_who_is_posed_and_is_shown_them(
    config: DualModalUNetConfig, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said is relative to it, in units of their own; it reaches depth's stream alone."""
    spread, far = (2.0, 0.5, 0.1, 1.0), (3.0, 0.0, 0.0, 1.0)
    told = {"prediction": "change", "change_spread": spread, "far_latent": far}
    before = dataclasses.replace(config, posed_foreground=True, posed_spread=0.25, **told)
    model = with_settings(
        DualModalDenoiser.from_config(before),
        dataclasses.replace(before, posed_depth=True, posed_depth_spread=0.5),
    )
    frames = inputs["latents_BMFCHW"].shape[2]
    video, depth = torch.randn(2, 2, frames, 4, 8, 8)
    place = torch.stack([video, depth], dim=1)
    plain = DualModalDenoiser.from_config(config)
    plain.load_state_dict(model.state_dict(), strict=False)
    units = torch.tensor([0.25, 0.5])[:, None, None, None, None]
    units = units * torch.tensor(spread)[:, None, None]
    fraction = signal_fraction(inputs["timesteps_B"])[:, None, None, None, None, None]
    noisy = inputs["latents_BMFCHW"]
    seen = (noisy - fraction.sqrt() * place) / (fraction * units**2 + 1 - fraction).sqrt()
    said = predict(plain, {**inputs, "latents_BMFCHW": seen, "background_BCHW": video})
    found = predict(model, {**inputs, "background_BCHW": place})
    torch.testing.assert_close(
        fraction.sqrt() * (place + units * said) + (1 - fraction).sqrt() * found, noisy
    )

    unet = model.unet
    nn.init.normal_(unet.posed_depth_conv.weight)
    features = unet._of_posed_depth(place, (VIDEO, DEPTH))
    assert not features[:, 0].any()
    shown = depth - torch.tensor(far)[:, None, None]
    expected = unet.posed_depth_conv(shown.flatten(0, 1)).unflatten(0, (2, frames))
    torch.testing.assert_close(features[:, 1], expected)
    learnt = predict(model, {**inputs, "background_BCHW": place})
    assert not torch.allclose(learnt, found)
    with monkeypatch.context() as patch:  # a captured step copies nothing from the CPU
        patch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("made a tensor"))
        assert torch.equal(predict(model, {**inputs, "background_BCHW": place}), learnt)
    # One stream alone has its own part of the place.
    alone = {**inputs, "latents_BMFCHW": noisy[:, 1:], "background_BCHW": place}
    assert predict(model, alone, modalities=(DEPTH,)).shape == noisy[:, 1:].shape


def test_what_it_sees_of_the_change_has_unit_variance(config: DualModalUNetConfig) -> None:
    spread = (4.0, 0.5, 0.01, 1.0)
    config = dataclasses.replace(
        config, prediction="change", change_spread=spread, far_latent=(0,) * 4
    )
    unet, timesteps = DualModalUNet(config), torch.tensor([0, 300, 999])
    background = torch.randn(3, 4, 32, 32)
    clean = torch.randn(3, 1, 2, 4, 32, 32) * torch.tensor(spread)[:, None, None]
    clean = clean + background[:, None, None]
    noisy = noise_schedule().add_noise(clean, torch.randn_like(clean), timesteps)
    seen = unet.seen(noisy, timesteps, background, (VIDEO,))
    torch.testing.assert_close(seen.std(dim=(2, 4, 5)).flatten(), torch.ones(12), rtol=0, atol=0.06)


@pytest.mark.parametrize("across", [False, True])
def test_group_norm_statistics(config: DualModalUNetConfig, inputs: Inputs, across: bool) -> None:
    """Without temporal layers' help, frames meet only in GroupNorm across frames."""
    torch.manual_seed(0)
    model = DualModalDenoiser.from_config(
        dataclasses.replace(config, group_norm_across_frames=across)
    )
    changed = inputs["latents_BMFCHW"].clone()
    changed[:, :, 2] *= 3
    before = predict(model, inputs)[:, :, 0]
    after = predict(model, {**inputs, "latents_BMFCHW": changed})[:, :, 0]
    assert torch.allclose(before, after, atol=1e-6) is not across


def test_temporal_layers_mix_frames_and_keep_clips_apart(
    trained: DualModalDenoiser, inputs: Inputs
) -> None:
    changed = inputs["latents_BMFCHW"].clone()
    changed[0, :, 2] += 1
    difference = predict(trained, {**inputs, "latents_BMFCHW": changed}) - predict(trained, inputs)
    assert difference[0, :, 0].abs().max() > 1e-4
    assert difference[1].abs().max() == 0


def test_features_for_the_losses(config: DualModalUNetConfig, inputs: Inputs) -> None:
    for layers, count in (("last", 1), ("all", 2)):
        model = build(config, consistency_layers=layers)
        features = model(**inputs, return_features=True).features
        assert [tuple(f.motion_BMFHWC.shape) for f in features] == [(2, 2, 3, 8, 8, 16)] * count
        assert tuple(features[-1].queries_BMFhLD.shape) == (2, 2, 3, 4, 64, 4)
        assert tuple(features[-1].keys_BMFhTD.shape) == (2, 2, 3, 4, 5, 4)


def test_motion_feature_before_or_after_temporal_attention(
    config: DualModalUNetConfig, inputs: Inputs
) -> None:
    after, before = (
        build(config, motion_feature=where)(**inputs, return_features=True).features[0]
        for where in ("temporal_attention", "spatial_attention")
    )
    assert not torch.allclose(after.motion_BMFHWC, before.motion_BMFHWC)
    torch.testing.assert_close(after.queries_BMFhLD, before.queries_BMFhLD)


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("latents_BMFCHW", (2, 2, 3, 5, 8, 8), "latents must be"),
        ("latents_BMFCHW", (2, 1, 3, 4, 8, 8), "must label the 1 modalities"),
        ("timesteps_B", (6,), "one per clip"),
        ("encoded_foreground_BTD", (4, 5, 20), "foreground tokens must be"),
        ("pose_BFCHW", (2, 1, 4, 8, 8), "pose latents must be"),
    ],
)
def test_disagreeing_shapes_are_named(
    trained: DualModalDenoiser, inputs: Inputs, name: str, shape: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        trained(**{**inputs, name: torch.zeros(shape)})


def test_single_frame_model_refuses_clips_and_motion(
    config: DualModalUNetConfig, inputs: Inputs
) -> None:
    model = DualModalDenoiser.from_config(dataclasses.replace(config, temporal_layers=False))
    with pytest.raises(ValueError, match="no temporal layers"):
        model(**inputs)
    with pytest.raises(ValueError, match="motion_feature='spatial_attention'"):
        model.unet(
            inputs["latents_BMFCHW"][:, :, :1],
            inputs["timesteps_B"],
            torch.zeros(2, 5, 12),
            inputs["background_BCHW"],
            return_features=True,
        )
