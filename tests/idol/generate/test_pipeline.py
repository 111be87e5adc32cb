"""Calling the pipeline: what comes out, and that it is the plain loop."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.callbacks import MultiPipelineCallbacks, SDCFGCutoffCallback
from PIL import Image

from idol.data.preparation import Preparation, scale_images
from idol.diffusion.sampling import sample
from idol.diffusion.schedule import ddim_scheduler
from idol.diffusion.schedulers import own_scheduler, scheduler_for
from idol.generate import IdolPipeline
from idol.generate.errors import GenerationError
from idol.generate.given import given_clips
from idol.generate.windows import Windows
from idol.model import DualModalDenoiser
from idol.model_info import DepthMeaning
from idol.variants import VARIANTS
from shards.sample.colormap import depth_to_hot
from shards.sample.posed import lay_over
from shards.stream import ClipBatch, to_tensors
from shards.stream.foreground import holed
from tests.idol.generate.small import FRAMES, given, sd14, seeded, tiny
from tests.idol.train.micro import MODEL, SIZE


def call(pipe: IdolPipeline, inputs: dict[str, Any] | None = None, **options: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    defaults = {"num_inference_steps": 3, "generator": seeded(), "output_type": "np"}
    return pipe(**(inputs or given(pipe.size)), **{**defaults, **options})


def test_a_model_of_filled_holes_is_given_them() -> None:
    """The same as if the hole had been filled before, and there were none."""
    grey, inputs = tiny(), given()
    pipe = tiny(dataclasses.replace(MODEL, background_hole="filled"))
    mask = inputs["background_mask"]
    whole = {
        "background": holed(inputs["background"], mask, "filled"),
        "background_mask": np.zeros_like(mask),
    }
    frames = call(pipe, inputs).frames
    np.testing.assert_array_equal(frames, call(grey, {**inputs, **whole}).frames)
    assert not np.array_equal(frames, call(grey, inputs).frames)


def bodies(frames: int = FRAMES) -> dict[str, np.ndarray]:
    """Joints within `given`'s person, and others in its poses."""
    rng = np.random.default_rng(5)
    low, high = SIZE // 4, SIZE // 2
    own, poses = rng.uniform(low, high, (18, 3)), rng.uniform(4, SIZE - 4, (frames, 18, 3))
    own[:, 2] = poses[..., 2] = 1
    return {"foreground_joints": own.astype(np.float32), "joints": poses.astype(np.float32)}


def laid(inputs: dict[str, Any], joints: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The background with the person in each pose, as a stream lays it, and their depth."""
    depth = np.empty((FRAMES, SIZE, SIZE), np.float32)
    pictures = lay_over(
        holed(inputs["background"], inputs["background_mask"]),
        inputs["foreground"],
        inputs["foreground_mask"],
        joints["foreground_joints"],
        joints["joints"],
        depth=depth,
    )
    return pictures, depth


def test_a_model_of_a_posed_foreground_is_given_it_as_in_training() -> None:
    plain, pipe = tiny(), tiny(dataclasses.replace(MODEL, posed_foreground=True))
    inputs, joints = given(), bodies()
    posed, _ = laid(inputs, joints)
    frames = call(pipe, {**inputs, **joints}).frames
    clips = given_clips(**inputs, **joints)
    found = pipe.encode_conditions(clips, SIZE, SIZE)
    expected = pipe.vae.encode(scale_images(posed, SIZE))
    assert torch.equal(found.place[0], expected)

    # Without joints of both it is given the background alone, and another model never sees them.
    bare = call(pipe, inputs).frames
    assert not np.array_equal(frames, bare)
    for name in joints:
        np.testing.assert_array_equal(bare, call(pipe, {**inputs, name: joints[name]}).frames)
    np.testing.assert_array_equal(
        call(plain, inputs).frames, call(plain, {**inputs, **joints}).frames
    )

    # Guidance is of tokens alone; windows take their own frames.
    assert torch.equal(found.with_unconditional().place, torch.cat([found.place] * 2))
    assert torch.equal(found.of_windows([slice(1, 3)]).place, found.place[:, 1:3])


def test_a_model_of_its_depth_is_given_that_too() -> None:
    settings = dataclasses.replace(
        MODEL,
        posed_foreground=True,
        posed_depth=True,
        prediction="change",
        change_spread=(1.0,) * 48,
        far_latent=(0.0,) * 48,
    )
    pipe, inputs, joints = tiny(settings), given(), bodies()
    posed, depth = laid(inputs, joints)
    frames = call(pipe, {**inputs, **joints}).frames
    found = pipe.encode_conditions(given_clips(**inputs, **joints), SIZE, SIZE)
    for stream, pictures in enumerate((posed, depth_to_hot(depth))):
        expected = pipe.vae.encode(scale_images(pictures, SIZE))
        assert torch.equal(found.place[0, stream], expected)

    # Without joints nobody is there.
    bare = pipe.encode_conditions(given_clips(**inputs), SIZE, SIZE)
    white = pipe.vae.encode(torch.ones(1, 3, SIZE, SIZE))
    assert torch.equal(bare.place[0, 1], white.expand(FRAMES, -1, -1, -1))
    assert not np.array_equal(frames, call(pipe, inputs).frames)
    assert torch.equal(found.of_windows([slice(1, 3)]).place, found.place[:, :, 1:3])


def test_pictures_of_other_sizes_are_posed_as_those_of_the_frames_are() -> None:
    """A larger foreground, in a picture that is no square, and larger skeletons."""
    pipe = tiny(dataclasses.replace(MODEL, posed_foreground=True))
    inputs, joints = given(), bodies()
    # Blurred, so that halving what was doubled gives it again.
    for name in ("foreground", "background", "foreground_mask"):
        inputs[name] = cv2.GaussianBlur(inputs[name], None, 2)
    expected = pipe.encode_conditions(given_clips(**inputs, **joints), SIZE, SIZE).place
    larger = {
        name: cv2.resize(inputs[name], None, fx=2, fy=2) for name in inputs if name != "poses"
    }
    cut = 2 * SIZE - 8
    other = {
        **larger,
        "foreground": larger["foreground"][:, 4 : 4 + cut],
        "foreground_mask": larger["foreground_mask"][:, 4 : 4 + cut],
        "poses": np.repeat(np.repeat(inputs["poses"], 2, 1), 2, 2),
    }
    doubled = {name: points * (2, 2, 1) + (0.5, 0.5, 0) for name, points in joints.items()}
    doubled["foreground_joints"] -= (4, 0, 0)
    found = pipe.encode_conditions(given_clips(**other, **doubled), SIZE, SIZE).place
    pictures = [(pipe.vae.decode(x[0]) + 1) * 127.5 for x in (expected, found)]
    assert (pictures[0] - pictures[1]).abs().mean() < 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"joints": np.zeros((FRAMES + 1, 18, 3))},
        {"foreground_joints": np.zeros((17, 3))},
    ],
)
def test_joints_of_another_shape_are_told(wrong: dict[str, np.ndarray]) -> None:
    with pytest.raises(GenerationError, match="joints must be finite numbers of shape"):
        call(tiny(), {**given(), **wrong})


@pytest.mark.parametrize("name", ["joints", "foreground_joints"])
def test_joints_that_are_not_finite_are_counted(name: str) -> None:
    joints = bodies()
    joints[name].flat[[3, 5]] = np.nan, np.inf
    match = f"^{name} must be finite .*, and 2 of {joints[name].size} are not finite"
    with pytest.raises(GenerationError, match=match):
        call(tiny(), {**given(), **joints})


@pytest.mark.parametrize("name", ["joints", "foreground_joints"])
@pytest.mark.parametrize(
    "wrong",
    [[[[1, 2, 3], [1, 2]]], "here", [10**400], [{}]],
    ids=["ragged", "text", "huge", "objects"],
)
def test_joints_that_are_no_array_are_told(wrong: Any, name: str) -> None:
    with pytest.raises(GenerationError, match=f"^{name} must be .* and are no array of numbers"):
        call(tiny(), {**given(), name: wrong})


@pytest.mark.parametrize("name", ["joints", "foreground_joints"])
def test_joints_may_be_a_million_pixels_away_and_no_farther(name: str) -> None:
    pipe, joints = tiny(dataclasses.replace(MODEL, posed_foreground=True)), bodies()
    joints[name][..., 3, 0] = -1e6
    assert np.isfinite(call(pipe, {**given(), **joints}).frames).all()
    joints[name][..., 3, 0] = 1e30
    with pytest.raises(GenerationError, match=f"^{name} go to 1e\\+30 pixels"):
        call(pipe, {**given(), **joints})
    joints[name] = joints[name].astype(np.float64) * 1e30  # more than float32 holds
    with pytest.raises(GenerationError, match=f"^{name} must be finite"):
        call(pipe, {**given(), **joints})


def test_one_window_with_ddim_is_the_plain_loop_exactly() -> None:
    pipe, inputs = tiny(), given()
    noise = torch.randn(1, 2, FRAMES, 48, SIZE // 4, SIZE // 4, generator=seeded(1))
    clip = ClipBatch(
        key=("a",),
        positions=(0,),
        consumed=1,
        frame_indices=np.arange(FRAMES)[None],
        pose=inputs["poses"][None],
        rgb=inputs["poses"][None],
        depth=inputs["poses"][None],
        foreground=inputs["foreground"][None],
        foreground_mask=inputs["foreground_mask"][None],
        background=holed(inputs["background"], inputs["background_mask"])[None],
        background_mask=inputs["background_mask"][None],
    )
    with torch.no_grad():
        prepare = Preparation(pipe.vae, pipe.image_encoder, SIZE)
        batch = prepare(to_tensors(clip), torch.device("cpu"))
    plain = sample(
        DualModalDenoiser(pipe.unet, pipe.controlnet, pipe.foreground_projection),
        batch.conditions,
        noise,
        scheduler=ddim_scheduler(pipe.vae.bound),
        steps=5,
        guidance=2.0,
    )
    output = call(
        pipe,
        inputs,
        latents=noise,
        num_inference_steps=5,
        guidance_scale=2.0,
        output_type="latent",
        windows=Windows(length=FRAMES, overlap=0),
    )
    assert torch.equal(output.frames, plain)


@pytest.mark.parametrize("make", [tiny, sd14])
def test_both_streams_come_out(make: Any) -> None:
    pipe = make()
    output = call(pipe)
    size = pipe.size
    assert output.frames.shape == output.depth_colored.shape == (1, FRAMES, size, size, 3)
    assert output.prediction.shape == output.confidence.shape == (1, FRAMES, size, size)
    for array in (output.frames, output.prediction, output.confidence, output.uncertainty):
        assert array.dtype == np.float32
        assert array.min() >= 0
        assert array.max() <= 1
    assert output.metres is None
    assert output[0] is output.frames


def test_images_and_tensors_say_the_same() -> None:
    pipe = tiny()
    arrays = call(pipe)
    images = call(pipe, output_type="pil")
    tensors = call(pipe, output_type="pt", return_dict=False)
    assert np.array_equal(np.stack(images.frames[0]), (arrays.frames[0] * 255 + 0.5).astype("u1"))
    assert np.array_equal(tensors[0].permute(0, 1, 3, 4, 2).numpy(), arrays.frames)
    assert np.array_equal(tensors[1].numpy(), arrays.prediction)


def test_images_of_pil_and_floats_are_those_arrays() -> None:
    pipe, inputs = tiny(), given()
    person = np.dstack([inputs["foreground"], inputs["foreground_mask"]])
    place = np.dstack([inputs["background"], 255 - inputs["background_mask"]])
    pil = {
        "foreground": Image.fromarray(person),
        "background": Image.fromarray(place),
        "poses": [Image.fromarray(pose) for pose in inputs["poses"]],
    }
    floats = {
        name: array.astype(np.float32) / 255 for name, array in inputs.items() if "mask" not in name
    }
    masks = {name: array > 0 for name, array in inputs.items() if "mask" in name}
    ones = {name: mask.astype(np.uint8) for name, mask in masks.items()}
    frames = call(pipe, inputs).frames
    assert np.array_equal(call(pipe, pil).frames, frames)
    assert np.array_equal(call(pipe, {**floats, **masks}).frames, frames)
    assert np.array_equal(call(pipe, {**inputs, **ones}).frames, frames)


def test_a_batch_is_its_clips() -> None:
    pipe, two = tiny(), [given(seed=1), given(seed=2)]
    batch = {name: [clip[name] for clip in two] for name in two[0]}
    together = call(pipe, batch, generator=[seeded(1), seeded(2)])
    for index, clip in enumerate(two):
        alone = call(pipe, clip, generator=seeded(index + 1))
        np.testing.assert_allclose(together.frames[index], alone.frames[0], atol=2e-5)


def test_halves_of_guidance_apart_are_the_same_in_less_memory() -> None:
    pipe = tiny()
    together = call(pipe, output_type="latent").frames
    apart = call(pipe, output_type="latent", low_memory=True).frames
    torch.testing.assert_close(apart, together, atol=1e-5, rtol=1e-5)


def test_images_one_by_one_through_the_vae_are_the_same() -> None:
    pipe = sd14()
    frames, sparing = call(pipe).frames, call(pipe, low_memory=True).frames
    np.testing.assert_allclose(sparing, frames, atol=1e-4)


def test_a_long_clip_passes_in_windows() -> None:
    pipe, seen = tiny(), []
    pipe.unet.register_forward_hook(lambda _, given, __: seen.append(given[0].shape))
    inputs, windows = given(frames=7), Windows(length=3, overlap=1)
    latents = call(pipe, inputs, windows=windows, output_type="latent", guidance_scale=1).frames
    assert {shape[2] for shape in seen} == {3}
    assert sum(shape[0] for shape in seen) > 3 * 7 / 3
    assert max(shape[0] for shape in seen) > 1
    seen.clear()
    one_by_one = call(
        pipe, inputs, windows=windows, output_type="latent", guidance_scale=1, low_memory=True
    ).frames
    assert {shape[0] for shape in seen} == {1}
    torch.testing.assert_close(one_by_one, latents, atol=1e-5, rtol=1e-5)


def test_a_model_of_single_frames_takes_each_by_itself() -> None:
    pipe = tiny(MODEL.for_single_frames(), stage="image")
    noise = torch.randn(1, 2, 2, 48, SIZE // 4, SIZE // 4, generator=seeded(1))
    inputs = given(frames=2)
    both = call(pipe, inputs, latents=noise, output_type="latent").frames
    second = {**inputs, "poses": inputs["poses"][1:]}
    alone = call(pipe, second, latents=noise[:, :, 1:], output_type="latent").frames
    torch.testing.assert_close(both[:, :, 1:], alone)


@pytest.mark.parametrize(
    "name", ["ddim", "unipc", "dpm", "EulerDiscreteScheduler", "DDPMScheduler", "PNDMScheduler"]
)
def test_any_scheduler_runs(name: str) -> None:
    pipe = tiny()
    pipe.scheduler = scheduler_for(name, 10, bound=pipe.latent_bound)
    frames = call(pipe, num_inference_steps=10).frames
    assert np.isfinite(frames).all()
    assert np.array_equal(call(pipe, num_inference_steps=10).frames, frames)


def test_a_scheduler_of_other_predictions_is_refused() -> None:
    pipe = tiny()
    pipe.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(GenerationError, match="this model predicts the noise"):
        call(pipe)


@pytest.mark.parametrize(
    ("make", "name", "steps", "guidance"),
    [
        (sd14, "ddim", 50, 1.5),
        (sd14, "EulerDiscreteScheduler", 50, 1.5),
        (sd14, "unipc", 10, 1.5),
        (sd14, "dpm", 10, 1.5),
        (tiny, "ddim", 50, 1),
        (tiny, "EulerDiscreteScheduler", 2, 1),
        (tiny, "unipc", 2, 1),
        (tiny, "dpm", 2, 1),
    ],
)
def test_steps_and_guidance_are_those_that_the_call_tells_of(
    make: Callable[[], IdolPipeline], name: str, steps: int, guidance: float
) -> None:
    def at_once(pipe: IdolPipeline, *_: Any) -> dict[str, Any]:
        pipe._interrupt = True
        return {}

    pipe = make()
    pipe.scheduler = scheduler_for(name, steps, bound=pipe.latent_bound)
    call(pipe, num_inference_steps=None, output_type="latent", callback_on_step_end=at_once)
    assert (pipe.num_timesteps, pipe.guidance_scale) == (steps, guidance)


def test_a_scheduler_with_the_config_of_another_runs_or_is_refused_for_what_is_true() -> None:
    pipe = tiny()
    config = own_scheduler("tiny").config
    pipe.scheduler = DDIMScheduler.from_config(config)
    with pytest.raises(GenerationError, match="keeps latents within 1, and this model's go to 6"):
        call(pipe)
    pipe.scheduler = DDIMScheduler.from_config(config, clip_sample=False)
    with pytest.raises(GenerationError, match="give timestep_spacing='leading'"):
        call(pipe)
    fitting = {"clip_sample": False, "timestep_spacing": "leading"}
    pipe.scheduler = DDIMScheduler.from_config(config, **fitting)
    assert np.isfinite(call(pipe).frames).all()
    for own in (config, own_scheduler("sd14").config):
        pipe.scheduler = DPMSolverMultistepScheduler.from_config(own)
        assert np.isfinite(call(pipe).frames).all()


def test_latents_without_a_bound_are_kept_within_none() -> None:
    pipe = sd14()
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=True)
    with pytest.raises(GenerationError, match="within 1, and this model's go on"):
        call(pipe)


def test_a_callback_sees_and_changes_latents_and_may_interrupt() -> None:
    pipe, steps = tiny(), []

    def callback(
        pipe: IdolPipeline, step: int, timestep: torch.Tensor, tensors: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        steps.append((step, int(timestep), sorted(tensors)))
        pipe._interrupt = step == 1
        return {"latents": torch.zeros_like(tensors["latents"])}

    output = call(
        pipe,
        num_inference_steps=4,
        output_type="latent",
        callback_on_step_end=callback,
        callback_on_step_end_tensor_inputs=["latents", "noise_pred"],
    )
    assert steps == [(0, 751, ["latents", "noise_pred"]), (1, 501, ["latents", "noise_pred"])]
    assert not output.frames.any()
    assert pipe.num_timesteps == 4


def test_a_callback_changes_guidance_for_the_steps_to_come() -> None:
    pipe, clips, amplified = tiny(), [], []
    pipe.unet.register_forward_hook(lambda _, given, __: clips.append(len(given[0])))
    kept: dict[int, torch.Tensor] = {}

    def end_guidance(
        pipe: IdolPipeline, step: int, timestep: torch.Tensor, tensors: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        kept[step] = tensors["latents"].clone()
        if step == 1:
            pipe._guidance_scale = 1.0
        amplified.append(pipe.do_classifier_free_guidance)
        return tensors

    options = {"num_inference_steps": 4, "output_type": "latent"}
    ended = call(pipe, guidance_scale=2.0, callback_on_step_end=end_guidance, **options).frames
    assert clips == [2, 2, 1, 1]
    assert amplified == [True, False, False, False]
    assert pipe.guidance_scale == 1
    rest = call(pipe, guidance_scale=1.0, latents=kept[1], first_step=2, **options).frames
    assert torch.equal(ended, rest)


def test_a_callback_sets_no_guidance_that_a_call_could_not_have() -> None:
    def spoil(pipe: IdolPipeline, *_: Any) -> dict[str, Any]:
        pipe._guidance_scale = math.nan
        return {}

    with pytest.raises(GenerationError, match="set what cannot be:\n  guidance_scale=nan"):
        call(tiny(), callback_on_step_end=spoil)


@pytest.mark.parametrize("several", [False, True])
def test_a_callback_of_diffusers_that_asks_for_prompts_is_told_what_there_is(several: bool) -> None:
    cutoff: Any = SDCFGCutoffCallback(cutoff_step_ratio=0.5)
    with pytest.raises(GenerationError, match=r"'prompt_embeds' is none of .*_guidance_scale = 1"):
        call(tiny(), callback_on_step_end=MultiPipelineCallbacks([cutoff]) if several else cutoff)


def test_a_call_is_resumed_exactly_from_its_latents() -> None:
    pipe, kept = tiny(), {}

    def keep(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        kept[step] = tensors["latents"].clone()
        return {}

    whole = call(pipe, num_inference_steps=4, output_type="latent", callback_on_step_end=keep)
    rest = call(pipe, num_inference_steps=4, output_type="latent", latents=kept[1], first_step=2)
    assert torch.equal(rest.frames, whole.frames)


def test_metres_are_given_where_the_data_had_one_range() -> None:
    meaning = DepthMeaning(unit="metres from the hips", near=-0.8, far=0.7, far_at=0.75)
    output = call(tiny(depth=meaning))
    expected = -0.8 + output.prediction / 0.75 * 1.5
    known = output.prediction <= 0.875
    np.testing.assert_allclose(output.metres[known], expected[known], atol=1e-5)
    assert np.isnan(output.metres[~known]).all()


def test_the_mistakes_of_a_call_come_together() -> None:
    with pytest.raises(GenerationError) as caught:
        call(
            tiny(),
            height=18,
            num_inference_steps=0,
            guidance_scale=-1,
            output_type="gif",
            callback_on_step_end_tensor_inputs=["tokens"],
        )
    for words in ("multiples of 8, not 18x16", "num_inference_steps=0", "-1", "'gif'", "'tokens'"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"eta": -0.5}, "eta=-0.5 must be 0 to 1"),
        ({"eta": 1.5}, "eta=1.5 must be 0 to 1"),
        ({"eta": math.nan}, "eta=nan must be 0 to 1, and finite"),
        ({"eta": "0"}, "eta='0' must be a number"),
        ({"eta": None}, "eta=None must be a number"),
        ({"guidance_scale": math.nan}, "guidance_scale=nan must be 0 or more, and finite"),
        ({"guidance_scale": math.inf}, "guidance_scale=inf must be 0 or more, and finite"),
        ({"guidance_scale": "1"}, "guidance_scale='1' must be a number"),
        ({"guidance_scale": True}, "guidance_scale=True must be a number"),
        ({"temperature": math.inf}, "temperature=inf must be 0 or more, and finite"),
        ({"temperature": None}, "temperature=None must be a number"),
        ({"temperature": -1}, "temperature=-1 must be 0 or more"),
        ({"num_inference_steps": 2.5}, "num_inference_steps=2.5 must be a whole number"),
        ({"num_inference_steps": "2"}, "num_inference_steps='2' must be a whole number"),
        ({"num_inference_steps": True}, "num_inference_steps=True must be a whole number"),
        ({"num_inference_steps": 1001}, "num_inference_steps=1001 must be 1 to 1000"),
        ({"first_step": 0.5}, "first_step=0.5 must be a whole number"),
        ({"first_step": None}, "first_step=None must be a whole number"),
        ({"first_step": -1}, "first_step=-1 must be 0 to the 3 steps"),
        ({"first_step": 1}, "first_step=1 needs the latents after so many steps"),
        ({"height": 0}, "height and width must be multiples of 8, not 0x16"),
        ({"width": 0}, "height and width must be multiples of 8, not 16x0"),
        ({"height": 16.5}, "height and width must be multiples of 8, not 16.5x16"),
        ({"height": "16"}, "height and width must be multiples of 8, not '16'x16"),
        ({"width": True}, "height and width must be multiples of 8, not 16xTrue"),
        ({"latents": np.zeros(3)}, "latents must be a tensor, not ndarray"),
        ({"windows": (2, 1)}, "windows=(2, 1) must be Windows(length, overlap), or None"),
        ({"output_type": None}, "output_type=None is none of ('pil', 'np', 'pt', 'latent')"),
        (
            {"callback_on_step_end_tensor_inputs": "latents"},
            "callback_on_step_end_tensor_inputs='latents' must be a list of names",
        ),
    ],
)
def test_a_number_or_name_that_cannot_be_is_one_line(wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(GenerationError) as caught:
        call(tiny(), **wrong)
    assert str(caught.value) == f"this call cannot run:\n  {line}"


def test_numbers_of_numpy_are_numbers() -> None:
    steps, scale, side = np.int64(2), np.float32(1.5), np.int32(SIZE)
    numbers = {"num_inference_steps": steps, "guidance_scale": scale, "height": side, "width": side}
    assert np.isfinite(call(tiny(), **numbers, eta=np.float64(0.5)).frames).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"foreground_mask": np.zeros((3, 5), np.uint8)}, "foreground_mask is 3 x 5"),
        ({"background": np.zeros((SIZE, 2 * SIZE, 3), np.uint8)}, "background_mask is 16 x 16"),
        ({"poses": []}, "poses are empty"),
        ({"poses": Image.new("RGB", (SIZE, SIZE))}, "poses must be a list"),
        ({"poses": np.zeros((SIZE, SIZE, 3), np.uint8)}, "poses must be a list"),
        ({"poses": None}, "poses must be a list"),
        ({"foreground": None}, "foreground is object"),
        ({"background": [1, 2]}, "background is int64"),
        ({"poses": np.zeros((2, SIZE, 3 * SIZE, 3), np.uint8)}, "poses: 48x16 pixels"),
        ({"foreground": np.full((8, 8, 3), 2.0)}, r"values outside \[0, 1\]"),
        ({"foreground": np.zeros((8, 8, 5), np.uint8)}, "foreground is"),
        ({"latents": torch.zeros(1, 2, 3)}, "latents are"),
    ],
)
def test_bad_input_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(GenerationError, match=words):
        call(tiny(), {**given(), **wrong})


@pytest.mark.parametrize("make", [tiny, sd14])
def test_offloaded_parts_come_back(make: Any) -> None:
    """Offloading from the CPU to itself: the same hooks as on a GPU."""
    pipe = make()
    expected = call(pipe).frames
    pipe.enable_model_cpu_offload(device="cpu")
    for _ in range(2):
        np.testing.assert_allclose(call(pipe).frames, expected, atol=1e-5)


def test_a_model_of_pre_training_generates_nothing() -> None:
    with pytest.raises(GenerationError, match="neither poses nor depth"):
        call(tiny(MODEL.for_single_frames(), stage="pretrain"))


def test_a_vae_of_another_scale_is_refused() -> None:
    tiny_parts, other = tiny().components, sd14().vae
    with pytest.raises(GenerationError, match="latents of 4 channels, and the model takes 48"):
        IdolPipeline(**{**tiny_parts, "vae": other})


@pytest.mark.parametrize("name", ["idol", "mm-diffusion", "separate-unets"])
@pytest.mark.parametrize(
    "another",
    [
        IdolPipeline.from_pipe,
        lambda pipe: IdolPipeline(**pipe.components),
        lambda pipe: IdolPipeline(**pipe.components, **pipe.parameters),
    ],
)
def test_another_of_the_same_parts_knows_as_much(
    another: Callable[[IdolPipeline], IdolPipeline], name: str
) -> None:
    kind = VARIANTS[name]
    settings = dataclasses.replace(MODEL, **kind.model, pose_downscale=4)
    pipe = tiny(settings, kind.denoiser(), variant=name)
    made = another(pipe)
    assert made.info == pipe.info
    assert made.size == SIZE
    assert made.unet is pipe.unet
    options = {"guidance_scale": None, "num_inference_steps": 1, "output_type": "latent"}
    assert torch.equal(call(made, **options).frames, call(pipe, **options).frames)
    assert made.guidance_scale == 1  # preset tiny's own


def test_parts_and_info_may_be_others() -> None:
    pipe, scheduler = tiny(), scheduler_for("unipc", 10)
    info = tiny(depth=DepthMeaning(kind="frame")).config["info"]
    made = IdolPipeline.from_pipe(pipe, scheduler=scheduler, info=info)
    assert made.scheduler is scheduler
    assert made.depth.kind == "frame"
    assert pipe.depth.kind == "person"


def test_what_is_known_of_a_model_is_no_part_to_be_moved() -> None:
    pipe = tiny()
    IdolPipeline.from_pipe(pipe, dtype=torch.bfloat16)
    assert pipe.unet.dtype == torch.bfloat16
    pipe.to(torch.float32).enable_model_cpu_offload(device="cpu")
    pipe.remove_all_hooks()
    assert np.isfinite(call(pipe, num_inference_steps=1).frames).all()


def test_half_precision_on_a_cpu_is_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.logger.warning", said.append)
    pipe = tiny(frames=8).to(dtype=torch.float16).to("cpu")
    assert pipe.unet.dtype == torch.float16
    assert not said


def test_what_does_nothing_says_so(caplog: pytest.LogCaptureFixture) -> None:
    pipe = tiny()
    with caplog.at_level(logging.WARNING):
        pipe.enable_attention_slicing()
        pipe.enable_xformers_memory_efficient_attention()
    assert len(caplog.records) == 2
    assert all("changes nothing here" in record.message for record in caplog.records)


def test_guidance_of_one_takes_half_the_work() -> None:
    pipe, clips = tiny(), []
    pipe.unet.register_forward_hook(lambda _, given, __: clips.append(len(given[0])))
    call(pipe, guidance_scale=1.0, num_inference_steps=1)
    assert not pipe.do_classifier_free_guidance
    call(pipe, guidance_scale=1.5, num_inference_steps=1)
    assert clips == [1, 2]


def test_other_sizes_are_generated_when_asked_for() -> None:
    inputs = given()
    wide = {name: np.repeat(a, 2, axis=-1 if a.ndim == 2 else -2) for name, a in inputs.items()}
    assert call(tiny(), wide, height=16, width=32).frames.shape == (1, FRAMES, 16, 32, 3)
    assert call(tiny(), inputs, height=24, width=24).frames.shape[2] == 24


def test_euler_with_its_own_noise_scale_is_close_to_ddim() -> None:
    """Both integrate the same equation: with many steps from one noise they agree."""
    pipe = tiny()
    pipe.scheduler = ddim_scheduler()
    noise = torch.randn(1, 2, 1, 48, SIZE // 4, SIZE // 4, generator=seeded(3))
    options = {"latents": noise, "num_inference_steps": 50, "output_type": "latent"}
    options |= {"inputs": given(frames=1), "guidance_scale": 1.0}
    ddim = call(pipe, **options).frames
    pipe.scheduler = EulerDiscreteScheduler.from_config(
        pipe.scheduler.config, timestep_spacing="leading"
    )
    euler = call(pipe, **options).frames
    assert float((ddim - euler).std() / ddim.std()) < 0.15
