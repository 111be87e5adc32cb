"""What is wrong with the numbers and names of a call, a line for each mistake."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

from torch import Tensor

from idol.diffusion.schedulers import bound_of, takes_noise
from idol.generate.windows import Windows
from idol.model_info import ModelInfo

__all__ = ["call_mistakes", "guidance_mistakes"]


def call_mistakes(
    info: ModelInfo | None,
    scheduler: Any,
    *,
    multiple: int,
    bound: float | None,
    output_types: Sequence[str],
    tensors: Sequence[str],
    height: Any,
    width: Any,
    num_inference_steps: Any,
    guidance_scale: Any,
    temperature: Any,
    eta: Any,
    first_step: Any,
    latents: Any,
    output_type: Any,
    windows: Any,
    callback_on_step_end_tensor_inputs: Any,
) -> list[str]:
    """Everything that is wrong with what `IdolPipeline` is called with, but for its images.

    Args:
        info: what is known of the model.
        multiple: of which heights and widths must be.
        bound: what no value of a latent exceeds.
        output_types, tensors: those that there are.
    """
    trained = int(scheduler.config.get("num_train_timesteps", 1000))
    mistakes = []
    if info is not None and info.stage == "pretrain":
        mistakes.append(
            "the model was pre-trained on single images and knows neither poses nor depth: "
            "train the stages image and video"
        )
    mistakes += _side_mistakes(height, width, multiple)
    mistakes += _step_mistakes(num_inference_steps, first_step, trained)
    mistakes += _latents_mistakes(latents, first_step)
    mistakes += guidance_mistakes(guidance_scale, info)
    mistakes += _number_mistakes("temperature", temperature)
    mistakes += _number_mistakes("eta", eta, at_most=1)
    if output_type not in output_types:
        mistakes.append(f"output_type={output_type!r} is none of {output_types}")
    if windows is not None and not isinstance(windows, Windows):
        mistakes.append(f"windows={windows!r} must be Windows(length, overlap), or None")
    mistakes += _tensor_mistakes(callback_on_step_end_tensor_inputs, tensors)
    return mistakes + _scheduler_mistakes(scheduler, bound)


def guidance_mistakes(guidance_scale: Any, info: ModelInfo | None) -> list[str]:
    """Of the weight of the foreground; a distilled model has its own in it."""
    mistakes = _number_mistakes("guidance_scale", guidance_scale)
    if mistakes or info is None or info.distilled is None or guidance_scale == 1:
        return mistakes
    return [
        f"the model was distilled and has a guidance of {info.distilled.guidance:g} in it: leave "
        f"out guidance_scale={guidance_scale}"
    ]


def _number_mistakes(name: str, value: Any, *, at_most: float | None = None) -> list[str]:
    """Of a number of 0 or more; True and False are none."""
    if not _is_number(value):
        return [f"{name}={value!r} must be a number"]
    if not math.isfinite(value) or value < 0 or (at_most is not None and value > at_most):
        wanted = "0 or more" if at_most is None else f"0 to {at_most:g}"
        return [f"{name}={value} must be {wanted}{'' if math.isfinite(value) else ', and finite'}"]
    return []


def _side_mistakes(height: Any, width: Any, multiple: int) -> list[str]:
    """Of the size of frames, which the VAE and the U-Net make smaller."""
    sides = (height, width)
    if all(_is_whole(side) and side >= multiple and side % multiple == 0 for side in sides):
        return []
    shown = "x".join(str(side) if _is_number(side) else repr(side) for side in sides)
    return [f"height and width must be multiples of {multiple}, not {shown}"]


def _step_mistakes(steps: Any, first_step: Any, trained: int) -> list[str]:
    """Of the number of denoising steps and of those that are left out."""
    mistakes, known = [], _is_whole(steps) and 1 <= steps <= trained
    if not _is_whole(steps):
        mistakes.append(f"num_inference_steps={steps!r} must be a whole number")
    elif not known:
        mistakes.append(f"num_inference_steps={steps} must be 1 to {trained}")
    if not _is_whole(first_step):
        mistakes.append(f"first_step={first_step!r} must be a whole number")
    elif first_step < 0 or (known and first_step > steps):
        mistakes.append(f"first_step={first_step} must be 0 to the {steps} steps")
    return mistakes


def _latents_mistakes(latents: Any, first_step: Any) -> list[str]:
    """Of latents to start from, whose shape is known later."""
    if latents is None and _is_whole(first_step) and first_step > 0:
        return [f"first_step={first_step} needs the latents after so many steps"]
    if latents is not None and not isinstance(latents, Tensor):
        return [f"latents must be a tensor, not {type(latents).__name__}"]
    return []


def _tensor_mistakes(names: Any, known: Sequence[str]) -> list[str]:
    """Of the tensors that a callback asks for."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        return [f"callback_on_step_end_tensor_inputs={names!r} must be a list of names"]
    return [
        f"callback_on_step_end_tensor_inputs: {name!r} is none of {[*known]}; a callback that ends "
        "guidance needs none, and sets pipe._guidance_scale = 1"
        for name in names
        if name not in known
    ]


def _scheduler_mistakes(scheduler: Any, bound: float | None) -> list[str]:
    """Of a scheduler for other predictions than of noise, or for smaller latents."""
    mistakes, name, kept = [], type(scheduler).__name__, bound_of(scheduler)
    if not takes_noise(scheduler):
        mistakes.append(
            f"{name} is set to other predictions, and this model predicts the noise: "
            "`idol.diffusion.schedulers.scheduler_for` makes one that fits"
        )
    if kept is not None and (bound is None or kept < bound):
        mistakes.append(
            f"{name} keeps latents within {kept:g}, and this model's go "
            f"{'on' if bound is None else f'to {bound:g}'}: give it clip_sample=False"
        )
    return mistakes


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)
