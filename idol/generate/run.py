"""The work of `idol-generate`: read, retarget, denoise, keep the background, write, report."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from idol.config.checks import ConfigError
from idol.config.generate import GenerateConfig, is_clip
from idol.generate.c2pa import Signer
from idol.generate.checks import check_length, check_poses, check_stage
from idol.generate.continuity import drift, seam
from idol.generate.depth_files import check_library
from idol.generate.errors import GenerationError
from idol.generate.generator import ClipConditions, ClipGenerator, Generated
from idol.generate.inputs.clip import clip_sha256
from idol.generate.inputs.estimate import depth_estimate
from idol.generate.inputs.files import check_given, input_files
from idol.generate.inputs.options import Annotation
from idol.generate.inputs.prepare import FrameChoice, Placement, prepare
from idol.generate.inputs.preview import preview_sheet
from idol.generate.inputs.read import read_motion, read_person
from idol.generate.inputs.values import Motion, Person
from idol.generate.keep import background_psnr, check_depth_kind, keep_background, person_mask
from idol.generate.loading import load_pipeline
from idol.generate.outputs import PREVIEW, REPORT, WRITTEN, write_outputs
from idol.generate.pipeline import IdolPipeline
from idol.generate.progress import Advance, Stages
from idol.generate.resume import Remains, differences
from idol.generate.watermark import Watermark
from idol.generate.windows import Windows
from idol.model_info import (
    FILE,
    NotAModelError,
    average_beside,
    find_model,
    read_info,
    sampling_by,
)
from idol.mp4 import check_codec
from idol.precision import round_to_tf32
from idol.pretrained import PRETRAINED
from shards.files.atomic import (
    TEMPORARY,
    lies_at,
    occupied,
    remove_temporary,
    write_atomically,
)
from shards.files.digest import canonical_json, parse_json, sha256, sha256_file
from shards.files.locks import LOCK, Taken, alone_in

__all__ = ["PREVIEW", "Read", "generate", "read_inputs"]

_log = logging.getLogger(__name__)

_PREVIEW_SIZE = 256  # pixels

# What the bytes do not depend on, or by its content alone.
_ASIDE = (
    *("out", "overwrite", "preview", "weights", "model", "c2pa"),
    *("photo", "driving", "skeletons", "person_mask", "background", "background_mask"),
)


class Read(Protocol):
    """Reads the person and the motion that are given; `device` is the annotators'."""

    def __call__(
        self, config: GenerateConfig, annotators: Annotation, stages: Stages, device: str
    ) -> tuple[Person, Motion]: ...


def read_inputs(
    config: GenerateConfig, annotators: Annotation, stages: Stages, device: str
) -> tuple[Person, Motion]:
    """The person and the motion, annotated where they are a photo and a video.

    Raises GenerationError, or ShardsError for a clip that cannot be read.
    """
    with stages.stage("person"):
        person = read_person(config, annotators.choice, device=device)
    with stages.stage("motion") as advance:
        motion = read_motion(
            config, annotators.choice, person.size, device=device, on_frames=advance
        )
    return person, motion


def generate(
    config: GenerateConfig,
    annotators: Annotation,
    stages: Stages,
    *,
    read: Read = read_inputs,
    load: Callable[..., IdolPipeline] = load_pipeline,
) -> Path:
    """Make the video that is asked for; the path of its report, or of the preview.

    Run again after a stop it goes on: annotations are kept as soon as they are made, and latents
    after each step. The same settings and inputs give the same bytes on the same machine.

    Args:
        stages: is told how far it is. What it raises stops the work, and goes to the caller: no
            file is left half-written, and what may be resumed is in --out.
        read, load: `read_inputs` and `load_pipeline`, or what gives the same: programs that make
            many videos keep what was read.

    Raises:
        GenerationError: what is given cannot be generated from, or the folder holds something else
            or is in use.
        NotAModelError: there is no model, or a part of it is missing.
        ShardsError: a clip cannot be read.
    """
    if config.model is None:
        config = dataclasses.replace(config, model=PRETRAINED)
    check_given(config)
    files = input_files(config)
    _check_inputs_stay(config.out, [*files.values(), *(config.c2pa or ())])
    device = _device(config)
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()  # of loading
    if config.preview:
        _check_preview(config)
        sheet = _preview(config, annotators, *read(config, annotators, stages, device))
        write_atomically(config.out / PREVIEW, sheet)
        return config.out / PREVIEW
    config = _as_the_model_is(config, config.model)
    out = config.out
    signer = None if config.c2pa is None else Signer.load(*config.c2pa)
    settings = _settings(config, annotators, files, device, signer)
    if (made := _made_already(config, settings)) is not None:
        return made
    check_library()
    check_codec()
    with _alone_in(out):
        if (made := _made_already(config, settings)) is not None:  # by another, meanwhile
            return made
        watermark = None
        if config.watermark:
            watermark = Watermark.load(config.watermark_every, config.weights)
        generator = _generator(config, annotators, device, load)
        if config.keep_background:
            check_depth_kind((generator.estimate or generator.pipeline.depth).kind)
        remains = Remains(out, settings)
        remains.check(overwrite=config.overwrite)
        conditions, told = remains.inputs() or _inputs(
            config, annotators, read(config, annotators, stages, device), generator, remains
        )
        generated = _denoised(config, stages, generator, conditions, remains)
        windows = generator.windows_in_force
        scores, generated = _scores(config, generated, conditions, windows)
        report = {**settings, **told, **scores, "windows": dataclasses.asdict(windows)}
        if generator.estimate is not None:
            report["depth_estimated"] = {"by": "lite", "lost": generated.lost or None}
        with stages.stage("writing") as advance:
            write_outputs(
                out, generated, report, watermark=watermark, c2pa=signer,
                background=(conditions.background, conditions.background_mask),
                preview=remains.preview(), on_frame=_counted(advance, conditions.frames),
            )  # fmt: skip
        remains.remove()
    return out / REPORT


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(alone_in(out))
        except Taken as error:
            raise GenerationError(
                f"{out} is in use by another idol-generate: wait for it, stop it, or give another "
                "--out"
            ) from error
        yield


def _device(config: GenerateConfig) -> str:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise GenerationError("--device cuda: there is no GPU here that torch can use")
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device


def _settings(
    config: GenerateConfig,
    annotators: Annotation,
    files: dict[str, Path],
    device: str,
    signer: Signer | None,
) -> dict[str, Any]:
    """All that the video depends on: plain JSON, for the report and to know it again."""
    chosen = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _ASIDE
    }
    chosen |= {"device": device}
    inputs: dict[str, Any] = {
        name: {"file": path.name, "sha256": _digest(path)} for name, path in files.items()
    }
    for name in ("photo", "driving"):
        given = getattr(config, name)
        if given is not None and name not in inputs:
            inputs[name] = {"clip": given, "sha256": clip_sha256(given)}
    assert config.model is not None
    model = _model_folder(config.model)
    average = average_beside(model)
    return {
        "settings": chosen,
        "annotators_asked": annotators.asked,
        "inputs": inputs,
        "signed_with": None if signer is None else sha256(signer.certificates),
        "model": {
            "sha256": _digest(model),
            "files": len([path for path in model.rglob("*") if path.is_file()]),
            **({"average_sha256": sha256_file(average)} if average else {}),
        },
        "software": {"idol-video": _version(), "torch": torch.__version__},
    }


def _model_folder(model: Path) -> Path:
    return model if (model / "model_index.json").is_file() else find_model(model)


def _version() -> str | None:
    try:
        return version("idol-video")
    except PackageNotFoundError:  # run from its source
        return None


def _digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of its files' names and digests."""
    if not path.is_dir():
        return sha256_file(path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return sha256(canonical_json([[str(p.relative_to(path)), sha256_file(p)] for p in files]))


def _check_preview(config: GenerateConfig) -> None:
    """Raise GenerationError where a video is, finished or not, whose own preview is beside it, or
    something else."""
    out = config.out
    if config.overwrite or not out.exists():
        return
    if _report(out) is not None or Remains.there(out):
        raise GenerationError(
            f"{out} holds a video, and its preview: give another --out, or --overwrite"
        )
    _check_ours(out)


def _made_already(config: GenerateConfig, settings: dict[str, Any]) -> Path | None:
    """The report, where this very video is there. Raises GenerationError where something else is
    that is not to be overwritten."""
    out = config.out
    if config.overwrite:
        _check_overwritten(out)
        return None
    if not out.exists():
        return None
    if (there := _report(out)) is not None:
        here = parse_json(canonical_json(settings))
        other = differences({name: there.get(name) for name in here}, here)
        if not other:
            return out / REPORT if _is_whole(out, there) else None
        raise GenerationError(
            f"{out} holds another video ({'; '.join(other[:4])}): choose another --out, or "
            "give --overwrite"
        )
    if Remains.there(out):
        return None
    _check_ours(out)
    return None


def _report(out: Path) -> dict[str, Any] | None:
    """What a video's report says; None where there is none of this program's."""
    try:
        there = parse_json((out / REPORT).read_bytes())
    except (OSError, ValueError):
        return None
    ours = isinstance(there, dict) and isinstance(there.get("files"), dict) and "outputs" in there
    return there if ours else None


def _check_inputs_stay(out: Path, inputs: Iterable[Path]) -> None:
    """Raise GenerationError where the video would replace what it is made of."""
    for path in inputs:
        if (name := lies_at(path, out, WRITTEN)) is not None:
            raise GenerationError(
                f"{path} is given, and {out / name} would be written over it: give another --out"
            )


def _check_overwritten(out: Path) -> None:
    """Raise GenerationError where something would be replaced that nothing says is ours."""
    if _report(out) is not None or Remains.there(out):
        return
    # A preview lies by itself until its video is made.
    if (found := occupied(out, {*WRITTEN} - {PREVIEW})) is not None:
        raise GenerationError(
            f"{found} is there, and no {REPORT} beside it says that idol-generate wrote it: "
            "move it, or give another --out"
        )


def _check_ours(out: Path) -> None:
    """Raise GenerationError where a folder without a video holds what no preview and no stopped or
    killed command leaves."""
    ours = (PREVIEW, ".resume", LOCK)
    names = (entry.name for entry in out.iterdir())
    left = [name for name in names if name not in ours and not TEMPORARY.fullmatch(name)]
    if left:
        raise GenerationError(
            f"{out} is not empty (it holds {sorted(left)[0]}), and no {REPORT} in it says that "
            "idol-generate wrote there: give another --out"
        )


def _is_whole(out: Path, report: dict[str, Any]) -> bool:
    """Whether all files are there that the report names, in their sizes."""
    return all(
        (out / name).is_file() and (out / name).stat().st_size == said["bytes"]
        for name, said in report["files"].items()
    )


def _as_the_model_is(config: GenerateConfig, model: Path | None) -> GenerateConfig:
    """The same with the model's own scheduler, steps and guidance where none are given.

    Raises GenerationError where the model makes no videos, ConfigError where it cannot be sampled
    so, NotAModelError where it is none.
    """
    assert model is not None
    folder = _model_folder(model)
    info = read_info(folder) if (folder / FILE).is_file() else None
    if info is not None:
        check_stage(config, info)
    own = sampling_by(
        info, scheduler=config.scheduler, steps=config.steps, guidance=config.guidance
    )
    return dataclasses.replace(config, **own._asdict())


def _generator(
    config: GenerateConfig,
    annotators: Annotation,
    device: str,
    load: Callable[..., IdolPipeline],
) -> ClipGenerator:
    """Raises GenerationError for a model that knows no motion, NotAModelError where it is none."""
    assert config.model is not None
    round_to_tf32(True)
    try:
        pipeline = load(config.model, dtype=getattr(torch, config.dtype)).to(device)
    except OSError as error:
        raise NotAModelError(f"{config.model} cannot be loaded: {error}") from error
    pipeline.set_progress_bar_config(disable=True)
    check_poses(config, annotators, pipeline)
    learnt = pipeline.info.frames if pipeline.info else 1
    length = config.window or (learnt if learnt > 1 else Windows().length)
    overlap = length // 2 if config.overlap is None else config.overlap
    return ClipGenerator(
        pipeline,
        estimate=depth_estimate(pipeline.unet.settings.streams, device, config.weights),
        steps=config.steps,
        guidance=config.guidance,
        temperature=config.temperature,
        scheduler=config.scheduler,
        windows=Windows(length, overlap),
        low_memory=config.low_memory,
    )


def _inputs(
    config: GenerateConfig,
    annotators: Annotation,
    given: tuple[Person, Motion],
    generator: ClipGenerator,
    remains: Remains,
) -> tuple[ClipConditions, dict[str, Any]]:
    """What is generated from, and what the report says of it; both are kept."""
    person, motion = given
    check_length(config, motion, generator.windows_in_force)
    conditions, placement = _prepared(config, annotators, person, motion, generator.pipeline.size)
    told: dict[str, Any] = {
        "person": {"name": person.name, **person.info},
        "motion": {
            "name": motion.name, "frames_used": len(motion), "fps_used": motion.fps, **motion.info,
        },
        "placement": placement.as_json(),
    }  # fmt: skip
    if generator.pipeline.unet.settings.posed_foreground:
        told["posed"] = conditions.posed
        if not conditions.posed:
            unknown = motion.name if conditions.joints is None else person.name
            _log.warning(
                f"the joints in {unknown} are not known, so the model is not shown the person in "
                "each pose, and draws them more loosely"
            )
    sheet = _preview(config, annotators, person, motion)
    remove_temporary(config.out, PREVIEW)
    if (config.out / REPORT).exists():  # whose preview stays beside it as long as it does
        remains.keep_preview(sheet)
    else:
        write_atomically(config.out / PREVIEW, sheet)
    remains.keep_inputs(conditions, told)
    return conditions, told


def _prepared(
    config: GenerateConfig, annotators: Annotation, person: Person, motion: Motion, size: int
) -> tuple[ClipConditions, Placement]:
    frame: FrameChoice | None = config.frame
    if frame is None:
        frame = "whole if inside" if is_clip(config.photo) else "motion"
        if config.photo == config.driving:  # a clip's own motion, which is to be made again
            frame = "whole"
    return prepare(
        person,
        motion,
        size=size,
        method=config.retarget,
        frame=frame,
        pose_style=annotators.choice.pose_style,
        force=config.force,
    )


def _preview(
    config: GenerateConfig, annotators: Annotation, person: Person, motion: Motion
) -> bytes:
    """A PNG, in a size of its own: what a small model is given is hard to make out."""
    conditions, placement = _prepared(config, annotators, person, motion, _PREVIEW_SIZE)
    style = annotators.choice.pose_style
    return preview_sheet(person, motion, conditions, placement, pose_style=style)


def _denoised(
    config: GenerateConfig,
    stages: Stages,
    generator: ClipGenerator,
    conditions: ClipConditions,
    remains: Remains,
) -> Generated:
    resume = None
    # Other schedulers remember more than the latents.
    if config.scheduler == "ddim" and (kept := remains.step()) is not None:
        steps, latents = kept
        resume = steps, torch.from_numpy(latents)
    with stages.stage("denoising", resume[0] if resume else 0) as advance:
        advance(resume[0] if resume else 0, generator.sampling.steps)

        def on_step(done: int, latents: torch.Tensor) -> None:
            remains.keep_step(done, latents.detach().float().cpu().numpy())
            advance(done, generator.sampling.steps)

        try:
            return generator(conditions, config.seed, on_step=on_step, resume=resume)
        except (GenerationError, ConfigError):  # as it would be the next time
            remains.remove()
            raise


def _scores(
    config: GenerateConfig,
    generated: Generated,
    conditions: ClipConditions,
    windows: Windows,
) -> tuple[dict[str, Any], Generated]:
    """What the report says of how the video holds together, and the video that is written."""
    scores: dict[str, Any] = {}
    place = (conditions.background, conditions.background_mask)
    if generated.depth_kind == "person":
        scores["background_psnr_as_generated"] = _plain(background_psnr(generated, *place))
    kept = None
    if config.keep_background:
        generated, where = keep_background(generated, *place, fill_hole=config.fill_hole)
        kept = float(where.mean())
    if generated.depth_kind == "person":
        scores["background_psnr"] = _plain(background_psnr(generated, *place))
        persons = person_mask(generated.depth_pictures)
    else:  # nothing says where the person is
        scores["background_psnr"] = None
        persons = np.zeros(generated.frames.shape[:3], bool)
    found = drift(generated.frames, persons)
    scores |= {
        "background_kept": kept,
        "seam": _plain(seam(generated.frames, windows.stride)),
        "drift": {"background": _plain(found.background), "person": _plain(found.person)},
        "mean_confidence": _plain(float(generated.confidence.mean())),
    }
    return scores, generated


def _plain(value: float | None) -> float | str | None:
    """As JSON can say it."""
    if value is None or math.isfinite(value):
        return None if value is None else round(value, 6)
    return "infinite"


def _counted(advance: Advance, frames: int) -> Any:
    done = 0

    def on_frame() -> None:
        nonlocal done
        done += 1
        advance(done, frames)

    return on_frame
