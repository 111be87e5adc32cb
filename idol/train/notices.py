"""What a user should know when a run starts: options that mean nothing in it, or less."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from idol.config.model import CLIP_STAGES, DEPTH, TIMESTEPS, DualModalUNetConfig
from idol.config.presets import defaults, preset
from idol.config.train import TrainConfig
from idol.data.datasets import Datasets
from idol.data.preparation import weighs
from idol.model_info import find_model, read_info
from idol.variants import variant_called
from shards.options import not_used

__all__ = ["notices"]

_BEFORE = {"image": "pretrain", "video": "image"}
_PREFIXES = {n: f"{n}." for n in ("loss", "model", "autoencoder", "distill")}
_OF_SAMPLES = ("foreground_dropout", "posed_dropout", "pure_noise", "dropout_draw")
_NO_DENOISER = "stage autoencoder trains no denoiser"
# The last timestep that a model is trained with.
_LAST = TIMESTEPS - 1


def notices(
    config: TrainConfig,
    data: Datasets,
    *,
    checkpoint: Path | None = None,
    saved: Mapping[str, Any] | None = None,
) -> list[str]:
    """A line each.

    Args:
        config: as it was given.
        checkpoint: from which the run resumes; `saved`: its configuration.
    """
    usual = defaults(
        config.stage,
        config.preset,
        shards=config.shards,
        output=config.output,
        model=config.model,
        vae=config.vae,
        patch=config.patch,
    )
    lines = not_used(config, usual, _asked(_rules(config, data), config), _PREFIXES)
    if checkpoint is None and (model := _model_before(config)) is not None:
        rules = _asked(_model_rules(config), config)
        lines += not_used(config, SimpleNamespace(model=model), rules, _PREFIXES)
    lines += _start(config, checkpoint, saved or {})
    lines += _frame_steps(config, data)
    lines += _only_val(data)
    denoises = config.stage not in ("distill", "autoencoder")
    if denoises and config.optimizer.pure_noise == 1 and config.report.validate_every != 0:
        lines.append(
            "--pure-noise 1 trains the first step of sampling alone, and validation is of all "
            "timesteps: judge by samples of one step"
        )
    report = config.report
    ratio = (_LAST + 1) // report.sample_steps
    first = (report.sample_steps - 1) * ratio + 1
    solver = config.stage != "distill"
    if solver and report.sample_every and report.spacing == "leading" and first + ratio <= _LAST:
        lines.append(
            f"--sample-steps {report.sample_steps} begins at timestep {first} of {_LAST}, though "
            "from pure noise: numbers that divide 1000 begin in time, or --sample-spacing trailing"
        )
    return lines


def _asked(rules: Iterable[tuple[str, str]], config: TrainConfig) -> list[tuple[str, str]]:
    """The rules but those of settings that come with the variant."""
    parts = variant_called(config.variant).settings(config.stage)
    own = {f"{part}.{name}" for part, settings in parts.items() for name in settings}
    return [rule for rule in rules if rule[0] not in own]


def _rules(config: TrainConfig, data: Datasets) -> Iterator[tuple[str, str]]:
    """Settings that mean nothing beside the others, and why."""
    stage, loss, report = config.stage, config.loss, config.report
    sizes = ("latent_channels", "patch", "width", "blocks")
    if stage != "autoencoder":
        yield from (
            (f"autoencoder.{field.name}", "stage autoencoder alone makes one")
            for field in dataclasses.fields(config.autoencoder)
        )
    elif config.base:
        yield from ((f"autoencoder.{name}", "the VAE of --base has its own") for name in sizes)
    if stage == "autoencoder":
        yield from _denoisers_alone(config)
    if stage == "distill":
        yield from _not_of_students(config)
    else:
        yield from (
            (f"distill.{field.name}", "stage distill alone has a teacher")
            for field in dataclasses.fields(config.distill)
        )
    motion = ("loss.motion_reduction", "loss.motion_divisor")
    if stage not in CLIP_STAGES:
        one = f"stage {stage} takes one frame of a clip"
        yield from ((name, one) for name in ("data.frames", "data.max_frame_step"))
        yield from ((name, one) for name in ("loss.motion_weight", *motion))
    if stage == "pretrain":
        alone = "pre-training has no depth"
        yield "data.depth", alone
        of_depth = ("cross_attention_weight", "average_heads", "huber_depth")
        yield from ((f"loss.{n}", alone) for n in of_depth)
        yield "report.gradient_norms_every", alone
    else:
        yield "data.cut", "pre-training alone cuts images"
        yield "optimizer.pretrained_layers", "pre-training alone freezes layers"
    if stage != "pretrain" and config.model.streams == "video":
        yield "data.depth", f"variant {config.variant} makes video alone"
    if stage != "pretrain" and DEPTH not in config.model.modalities:
        yield "loss.huber_depth", f"variant {config.variant} has no stream of depth alone"
    if not weighs(config):
        yield "data.depth_scores", f"stage {stage} has no error of depth to weigh"
    if not loss.motion_weight:
        yield from ((name, "--loss.motion-weight is 0") for name in motion)
    if not loss.cross_attention_weight:
        yield "loss.average_heads", "--loss.cross-attention-weight is 0"
    if not loss.compares:
        yield "report.gradient_norms_every", "no consistency loss is taken"
    if not config.model.posed_foreground:
        yield "optimizer.posed_dropout", "the model has no posed foreground"
    if not config.optimizer.foreground_dropout:
        yield "optimizer.dropout_draw", "--foreground-dropout is 0"
    if config.run.fsdp:
        yield "report.gradient_norms_every", "divided weights (--fsdp) measure none"
    if not report.sample_every:
        for name in ("sample_steps", "sample_spacing", "guidance"):
            yield f"report.{name}", "--sample-every is 0"
    if report.validate_every == 0:
        yield "report.validation_clips", "--validate-every is 0"
    elif data.without_val:
        yield "report.validation_clips", "there is no val split"
    if config.data.cache is None:
        yield "data.cache_limit", "there is no --cache"
    elif all(s.store.is_local for d in data.mixture.datasets for s in d.shards_of()):
        yield from ((f"data.{n}", "the shards are local files") for n in ("cache", "cache_limit"))


def _model_before(config: TrainConfig) -> DualModalUNetConfig | None:
    """The settings of the model that the run starts from, or the preset's; None of --base."""
    if config.init_from:
        return read_info(find_model(config.init_from)).settings
    return None if config.base else preset(config.preset)


def _model_rules(config: TrainConfig) -> Iterator[tuple[str, str]]:
    """Settings of the model that mean nothing beside others of it."""
    model = config.model
    if config.stage == "autoencoder":
        # The hole is in backgrounds, of which it learns.
        fields = {field.name for field in dataclasses.fields(model)} - {"background_hole"}
        yield from ((f"model.{name}", _NO_DENOISER) for name in sorted(fields))
        return
    if not model.posed_foreground:
        yield "model.posed_spread", "the model has no posed foreground"
    if not model.posed_depth:
        yield "model.posed_depth_spread", "the model is not shown the depth of a posed foreground"
    if model.temporal_modules != "animatediff":
        why = f"variant {config.variant} has no motion modules of AnimateDiff"
        yield from ((f"model.{name}", why) for name in ("motion_frames", "motion_mid_block"))
    if model.pose_control != "t2i_adapter":
        yield "model.pose_downscale", f"variant {config.variant} has no T2I-Adapter"
    if model.background == "controlnet":
        yield "model.background_init", f"variant {config.variant} gives it to a ControlNet"
    elif model.prediction == "change":
        yield "model.background_init", "a model that predicts the change starts otherwise"


def _not_of_students(config: TrainConfig) -> Iterator[tuple[str, str]]:
    why = "stage distill follows its teacher, whatever that learnt from"
    yield from ((f"loss.{field.name}", why) for field in dataclasses.fields(config.loss))
    yield from ((f"optimizer.{n}", why) for n in _OF_SAMPLES)
    yield "report.gradient_norms_every", why
    yield "report.guidance", "a student has the teacher's in it"
    yield "report.sample_spacing", "a student's steps are the solver's"
    if config.distill.error != "huber":
        yield "distill.huber", f"--distill.error is {config.distill.error}"


def _denoisers_alone(config: TrainConfig) -> Iterator[tuple[str, str]]:
    yield "variant", "a codec is of no variant"
    yield from ((f"loss.{field.name}", _NO_DENOISER) for field in dataclasses.fields(config.loss))
    yield from ((f"optimizer.{n}", _NO_DENOISER) for n in _OF_SAMPLES)
    names = ("sample_steps", "sample_spacing", "guidance", "gradient_norms_every")
    yield from ((f"report.{name}", _NO_DENOISER) for name in names)


def _start(config: TrainConfig, checkpoint: Path | None, saved: Mapping[str, Any]) -> Iterator[str]:
    """What the weights start from, where that is not what it seems."""
    if checkpoint is not None:
        for name in ("init_from", "base"):
            given, began = getattr(config, name), saved.get(name)
            if given and str(given) != began:
                yield (
                    f"--{name.replace('_', '-')} {given} is not used: the run resumes from "
                    f"{checkpoint}" + (f", and began with {began}" if began else "")
                )
    elif not config.init_from and config.stage in _BEFORE:
        yield (
            f"stage {config.stage} starts from {'--base alone' if config.base else 'fresh weights'}"
            f": --init-from takes the output of stage {_BEFORE[config.stage]}"
        )


def _only_val(data: Datasets) -> Iterator[str]:
    """Datasets whose only clips are those held out."""
    for dataset in data.mixture.datasets:
        if dataset.has_split("val") and not dataset.has_split("train"):
            yield (
                f"{dataset.url} has a val split alone: the clips trained on are those that "
                "validation measures; build more videos, or with --val-fraction 0"
            )


def _frame_steps(config: TrainConfig, data: Datasets) -> Iterator[str]:
    """A step between frames that no clip has room for."""
    if config.stage not in CLIP_STAGES:
        return
    longest = max(
        sample.frames
        for dataset in data.mixture.datasets
        for shard in dataset.shards_of()
        for sample in shard.manifest.samples
    )
    fits = (longest - 1) // (config.frames - 1)
    if config.data.max_frame_step > fits:
        drawn = f"1 to {fits} are drawn" if fits > 1 else "only 1 is"
        yield (
            f"clips have at most {longest} frames, of which {config.frames} are taken with a step "
            f"of at most {fits}: of --max-frame-step {config.data.max_frame_step} {drawn}"
        )
