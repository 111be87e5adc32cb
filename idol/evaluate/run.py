"""`idol-eval run`: generate the clips of a validation split, one row a clip, and score them.

    OUT/run.json               the model, the shards and the settings that every clip is made with
    OUT/clips/KEY/rgb/000.png  frames, and depth/000.png in 16 bits, as `idol-eval score` reads them
    OUT/clips/KEY/clip.json    the clip's row: seed, checksums, which depth
    OUT/scores.json …          as `idol-eval score` writes them

A clip's folder takes its name when it is whole, so a run is resumed by the same command, and any
number of processes may generate their shares of it, or what no other is generating.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from idol.config.evaluate import EvaluateRunConfig, ScoreConfig
from idol.evaluate.availability import plan_of
from idol.evaluate.clips import DepthKind
from idol.evaluate.devices import device_of
from idol.evaluate.errors import EvaluationError
from idol.evaluate.folders import CLIP, ESTIMATED_BY
from idol.evaluate.metrics import METRICS
from idol.evaluate.protocols import protocol
from idol.evaluate.shard_clips import ShardClip, open_shards
from shards.files.atomic import atomic_file, atomic_folder
from shards.files.digest import canonical_json, parse_json, sha256_file
from shards.files.locks import Taken, exclusive
from shards.sample.colormap import depth_to_grey
from shards.sample.images import encode_png

if TYPE_CHECKING:
    from idol.generate.generator import Generated
    from idol.model_info import ModelInfo

__all__ = ["RUN", "clip_seed", "generate", "run", "score_config"]

RUN = "run.json"
_CLIPS = "clips"
_SHARDS = "shards_sha256"
_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


def run(config: EvaluateRunConfig, generated: Progress, scored: Progress) -> dict[str, Any] | None:
    """Generate this process's share; what scoring says, or None while clips are lacking.

    `generated` and `scored` are told how many clips of how many are done.

    Raises:
        ConfigError: an unknown protocol or metric.
        EvaluationError: `out` holds clips of another model, dataset or settings, or files that are
            none of a run's; an unknown annotator; a metric that is required needs what is absent;
            the protocol compares no frames of the model's size with the clips'; a metric needs
            depth, and the clips have another than the model's.
        NotAModelError, GenerationError, ShardsError: as generation and reading say.
    """
    from idol.evaluate.output import OutInUse
    from idol.evaluate.score import check, score

    info = _info(config.model)
    config = _as_the_model_is(config, info)
    if config.score:
        check(score_config(config))
        _check_scores(config)
    clips = _clips(config)
    scored_by = score_config(config)
    if config.score:
        _check_size(config, clips, info)
        scored_by = dataclasses.replace(scored_by, depth=_depth_compared(config, clips, info))
    _settle(config, clips)
    generate(config, clips[config.part], generated)
    lacking = [clip.name for clip in clips if not _row(config.out, clip.name).is_file()]
    if lacking or not config.score:
        if lacking:
            _log.warning(f"{len(lacking)} clips are other processes' to generate, then scores come")
        return None
    try:
        return score(scored_by, scored)
    except OutInUse:
        _log.warning("another process scores these clips")
        return None


def _info(model: Path) -> ModelInfo:
    from idol.model_info import FILE, find_model, read_info

    return read_info(model if (model / FILE).is_file() else find_model(model))


def _as_the_model_is(config: EvaluateRunConfig, info: ModelInfo) -> EvaluateRunConfig:
    """The same with the model's own scheduler, steps and guidance where none are given."""
    from idol.generate.checks import check_generates
    from idol.model_info import sampling_by

    check_generates(config.model, info)
    own = sampling_by(
        info,
        scheduler=config.scheduler,
        steps=config.steps,
        guidance=config.guidance,
    )
    return dataclasses.replace(config, **own._asdict())


def score_config(config: EvaluateRunConfig) -> ScoreConfig:
    """How the clips of a run are scored."""
    return ScoreConfig(
        generated=str(config.out / _CLIPS),
        reference=config.shards,
        protocol=config.protocol,
        out=config.out,
        split=config.split,
        limit=config.limit,
        pose=config.pose,
        metrics=config.metrics,
        require=config.require,
        weights=config.weights,
        cache=config.cache,
        device=config.device,
        samples=config.samples,
        name=config.name or config.model.name,
        overwrite=True,  # run.json says whose clips these are
    )


def _clips(config: EvaluateRunConfig) -> list[ShardClip]:
    found = open_shards(config.shards, config.split, None, config.limit)
    for key in found.clips:  # folders are called by it, and a stranger's manifest may say anything
        if not key or key.startswith(".") or Path(key).name != key:
            raise EvaluationError(f"{found.path}: the key {key!r} of a clip is no plain name")
    return [clip for clip in found.clips.values() if isinstance(clip, ShardClip)]


def _check_scores(config: EvaluateRunConfig) -> None:
    """Raise EvaluationError where `out` has the clips' scores by another protocol, or something
    else that scores would replace."""
    from idol.evaluate.compare import read_scores
    from idol.evaluate.output import check_replaceable
    from idol.evaluate.report import SCORES

    check_replaceable(config.out)
    if (config.out / SCORES).exists() and not (config.out / RUN).is_file():
        raise EvaluationError(
            f"{config.out / SCORES}: there already, and no {RUN} beside it says of which clips: "
            "move it, or give another --out"
        )
    try:
        before = str(read_scores(config.out)["protocol"]["name"])
    except (EvaluationError, KeyError, TypeError):
        return  # there are none, or nothing to keep
    if before != config.protocol:
        raise EvaluationError(
            f"{config.out} has scores by protocol {before}: to keep them, score the clips by "
            f"another with `idol-eval score --generated {config.out / _CLIPS}` and another --out"
        )


def _check_size(config: EvaluateRunConfig, clips: Sequence[ShardClip], info: ModelInfo) -> None:
    """Raise EvaluationError where scoring would refuse frames of the model's size."""
    if protocol(config.protocol).images.other_size != "error":
        return
    for clip in clips:
        if clip.size not in (None, (info.size, info.size)):
            height, width = clip.size
            raise EvaluationError(
                f"{config.model} makes frames of {info.size}x{info.size}, {clip.where} has "
                f"{width}x{height}, and protocol {config.protocol} resizes none: give shards of "
                "that size, another --protocol, or --no-score"
            )


def _depth_compared(
    config: EvaluateRunConfig, clips: Sequence[ShardClip], info: ModelInfo
) -> DepthKind | None:
    """Which depth of the clips the model's is compared with; None where that is a matter of course.

    Raises EvaluationError where scoring would refuse it.
    """
    from idol.generate.inputs.estimate import LiteDepth

    kind = LiteDepth.kind if info.settings.streams == "video" else info.depth.kind
    theirs = clips[0].depth if clips else None
    if theirs in (None, kind):
        return None
    if any(f"depth_{kind}" in clip.entry.sample.sizes for clip in clips):
        return kind
    names = config.metrics or tuple(METRICS)
    planned = plan_of(protocol(config.protocol), names, annotator=config.pose != "none")
    if planned.wants("depth", "truth's depth"):
        raise EvaluationError(
            f"{config.model} makes depth of the {kind}, and {config.shards} has that of the "
            f"{theirs}: give --metrics that need no depth, other shards, or --no-score"
        )
    return None


def _settle(config: EvaluateRunConfig, clips: Sequence[ShardClip]) -> None:
    """Write down what the run is, or make sure that it is the one that is there."""
    file = config.out / RUN
    said = _said(config, clips)
    if file.is_file():
        # Runs that began before this was written down are taken at their keys' word.
        before = {_SHARDS: said[_SHARDS]} | _before(file)
        differs = [name for name in said if before.get(name) != said[name]]
        if differs:
            was = ", ".join(f"{n} was {before.get(n)}, is {said[n]}" for n in differs[:3])
            raise EvaluationError(
                f"{config.out}: holds a run with other settings ({was}); give another --out"
            )
        return
    there = config.out / _CLIPS
    if there.is_dir() and any(there.iterdir()):
        raise EvaluationError(
            f"{there} has clips, and there is no {RUN} that says whose they are: give another --out"
        )
    with atomic_file(file) as temporary:
        temporary.write_bytes(canonical_json(said, indent=1))


def _before(file: Path) -> dict[str, Any]:
    try:
        said = parse_json(file.read_bytes())
    except ValueError as error:
        raise EvaluationError(f"{file} is not JSON ({error}): give another --out") from error
    if not isinstance(said, dict):
        raise EvaluationError(f"{file} does not say what the run is: give another --out")
    return said


def _said(config: EvaluateRunConfig, clips: Sequence[ShardClip]) -> dict[str, Any]:
    from idol.model_info import model_digest

    keys = hashlib.sha256("\n".join(clip.name for clip in clips).encode()).hexdigest()
    # A dataset that was built again has the same keys.
    shards = dict.fromkeys(clip.entry.shard.manifest.sha256 for clip in clips)
    return {
        "model": model_digest(config.model),
        "clips": len(clips),
        "keys_sha256": keys,
        _SHARDS: hashlib.sha256("\n".join(shards).encode()).hexdigest(),
        "steps": config.steps,
        "guidance": config.guidance,
        "temperature": config.temperature,
        "scheduler": config.scheduler,
        "seed": config.seed,
    }


def clip_seed(seed: int, key: str) -> int:
    """The seed of a clip's noise, 0 to 2^63 - 1: of the run's seed and the key alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:8]) >> 1


def generate(config: EvaluateRunConfig, clips: Sequence[ShardClip], progress: Progress) -> None:
    """Generate those of the clips that are not there yet, nor another process' work just now."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from idol.generate.generator import ClipGenerator, conditions_of
    from idol.generate.inputs.estimate import depth_estimate

    waiting = [clip for clip in clips if _is_to_be_made(_row(config.out, clip.name))]
    if not waiting:
        return
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()  # of loading
    generator = ClipGenerator.from_folder(
        config.model,
        device=device_of(config.device),
        steps=config.steps,
        guidance=config.guidance,
        temperature=config.temperature,
        scheduler=config.scheduler,
        low_memory=config.low_memory,
    )
    streams = generator.pipeline.unet.settings.streams
    estimate = depth_estimate(streams, device_of(config.device), config.weights)
    generator = dataclasses.replace(generator, estimate=estimate)
    by = {} if estimate is None else {ESTIMATED_BY: estimate.name}
    generator.pipeline.set_progress_bar_config(disable=True)  # clips are told instead
    for done, clip in enumerate(waiting):
        progress(done, len(waiting))
        row = _row(config.out, clip.name)
        lock = row.parent.with_name(f".{clip.name}.lock")
        with suppress(Taken), exclusive(lock, wait=False, optional=True):
            if _fault(row) is None:  # it has become whole meanwhile
                continue
            seed = clip_seed(config.seed, clip.name)
            start = time.perf_counter()
            made = generator(conditions_of(clip.clip()), seed)
            _log.info(f"{clip.name}: {time.perf_counter() - start:.1f} s")
            _write(row.parent, made, {"key": clip.name, "seed": seed} | by)
    progress(len(waiting), len(waiting))


def _row(out: Path, key: str) -> Path:
    return out / _CLIPS / key / CLIP


def _is_to_be_made(row: Path) -> bool:
    """Whether a clip is not there as it was written; one that is damaged is said."""
    fault = _fault(row)
    if fault and row.is_file():
        _log.warning(f"{row.parent} is not as it was written ({fault}): it is generated again")
    return fault is not None


def _fault(row: Path) -> str | None:
    """Why a clip is not there as it was written; None where it is."""
    if not row.is_file():
        return "it has no row"
    try:
        sums = parse_json(row.read_bytes())["sha256"].items()
        return next((name for name, sha in sums if sha256_file(row.parent / name) != sha), None)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return str(error) or type(error).__name__


def _write(folder: Path, made: Generated, said: dict[str, Any]) -> None:
    """A clip's folder, whole or not at all."""
    pictures = {
        "rgb": [encode_png(frame) for frame in made.frames],
        "depth": [encode_png(depth_to_grey(np.clip(depth, 0, 1))) for depth in made.depth],
    }
    sums = {}
    with atomic_folder(folder) as unfinished:
        for name, files in pictures.items():
            (unfinished / name).mkdir()
            for number, data in enumerate(files):
                file = unfinished / name / f"{number:03d}.png"
                file.write_bytes(data)
                sums[f"{name}/{file.name}"] = hashlib.sha256(data).hexdigest()
        row = said | {
            "frames": len(made.frames),
            "fps": made.fps,
            "depth_kind": made.depth_kind,
            **({"depth_lost": made.lost} if made.lost else {}),
            "sha256": sums,
        }
        (unfinished / CLIP).write_bytes(canonical_json(row, indent=1))
