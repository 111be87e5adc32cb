"""What a trained model is: its folder and its `idol.json`, read without loading any network."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self

from idol.checkpoint import Checkpoints
from idol.config.distill import Distilled
from idol.config.model import DualModalUNetConfig, PresetName, StageName
from idol.config.sampling import Sampling, sampling_of
from idol.errors import IdolError
from shards.files.digest import canonical_json, sha256_file

__all__ = [
    "FILE",
    "DepthMeaning",
    "ModelInfo",
    "NotAModelError",
    "average_beside",
    "find_model",
    "model_digest",
    "read_info",
    "sampling_by",
]

FILE = "idol.json"
# What a saved model's numbers mean; 1 had patches of pixels as preset tiny's latents, and 2 did not
# say what depth means.
FORMAT = 3
_TEXT, _COUNT, _NONE = (str,), (int,), (type(None),)
_KINDS = {
    **dict.fromkeys(("stage", "preset", "variant"), _TEXT),
    **dict.fromkeys(("size", "frames", "step"), _COUNT),
    "vae_factor": _COUNT + _NONE,
    **dict.fromkeys(("vae", "image_encoder"), _TEXT + _NONE),
}
# Beside the model of a checkpoint, where its run averages weights.
_AVERAGE = "average.safetensors"


class NotAModelError(IdolError):
    """A folder holds no trained model, or one of another version."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DepthMeaning:
    """What the depth that a model generates means: that of the data it learned from.

    Attributes:
        kind: of the person, in `hot` colours on white, or of the whole frame, in grey.
        near_white: grey that is white near by, MiDaS' own way, and not far away.
        unit: what the annotator measured, in its words; None where datasets differ or say nothing.
        near, far: depth in metres where the picture says 0 and `far_at`, of all videos alike; None
            where each video has a range of its own, or metres are unknown: depth is then relative.
        far_at: the picture's depth of `far`.
    """

    kind: Literal["person", "frame"] = "person"
    near_white: bool = False
    unit: str | None = None
    near: float | None = None
    far: float | None = None
    far_at: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What `idol.json` says.

    Attributes:
        variant: which system of `idol.variants` it is.
        settings: of the video model, whose one-frame form the earlier stages train.
        size: height and width of its images; `frames`: of its clips.
        step: of the stage, at which it was saved.
        depth: what its depth means.
        distilled: of a student, what its steps are; None for all others.
        vae_factor: pixels of an image's side for one of its latent's; None: not recorded.
        vae, image_encoder: folders or hub names of frozen parts; None where there are none, or
            where they lie beside `idol.json`.
    """

    stage: StageName
    preset: PresetName
    variant: str = "idol"
    settings: DualModalUNetConfig
    size: int
    frames: int
    step: int
    depth: DepthMeaning = DepthMeaning()
    distilled: Distilled | None = None
    vae_factor: int | None = None
    vae: str | None = None
    image_encoder: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["settings"] = self.settings.to_dict()
        for name in ("depth", "distilled"):
            part = values[name]
            values[name] = None if part is None else dataclasses.asdict(part)
        return {"format": FORMAT, **values}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str | PathLike[str]) -> Self:
        """The inverse of `as_json`; `where` it was found, for errors.

        Raises:
            NotAModelError: it is of another format, or has not what belongs there.
            ConfigError: its settings contradict each other.
        """
        try:
            values = dict(content)
            if (found := values.pop("format")) != FORMAT:
                when = "an older" if found < FORMAT else "a newer"
                raise NotAModelError(
                    f"{where} was written by {when} version (format {found}; this one reads "
                    f"{FORMAT}): train that model again, or take the version that wrote it"
                )
            settings = DualModalUNetConfig.from_dict(values.pop("settings"))
            if distilled := values.pop("distilled", None):
                values["distilled"] = Distilled(**distilled)
            info = cls(settings=settings, depth=DepthMeaning(**values.pop("depth")), **values)
            for name, kinds in _KINDS.items():
                if not isinstance(value := getattr(info, name), kinds):
                    raise TypeError(f"{name} is {value!r}")
            return info
        except (KeyError, TypeError, AttributeError) as error:
            raise NotAModelError(f"{where} is damaged: {error}") from error


def sampling_by(
    info: ModelInfo | None,
    *,
    scheduler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
) -> Sampling:
    """How a model is sampled: as is asked for, and else its own way; the paper's without `info`.

    Raises:
        ConfigError: the model cannot be sampled so; the message says why.
    """
    preset, distilled = (info.preset, info.distilled) if info else ("sd14", None)
    posed = info is not None and info.settings.posed_foreground
    return sampling_of(
        preset, distilled, scheduler=scheduler, steps=steps, guidance=guidance, posed=posed
    )


def find_model(folder: str | PathLike[str]) -> Path:
    """The model's folder in an output of `idol-train`: the final one, else the newest checkpoint's.

    Raises:
        NotAModelError: there is none.
    """
    root = Path(folder)
    for path in (root, root / "model"):
        if (path / FILE).is_file():
            return path
    newest = Checkpoints(root / "checkpoints").newest()
    if newest is not None and (newest / "model" / FILE).is_file():
        return newest / "model"
    raise NotAModelError(
        f"{root} holds no trained model: no {FILE}, and no valid checkpoint; give the --output "
        "of a run of idol-train"
    )


def average_beside(model: str | PathLike[str]) -> Path | None:
    """The averaged weights (`idol-train --ema`) beside a checkpoint's model; None beside any other.

    The model's own are those that its run goes on with. Whoever uses the model takes the average,
    as the run's final model has it.
    """
    path = Path(model).absolute()
    average = path.parent / _AVERAGE
    return average if path.name == "model" and average.is_file() else None


def model_digest(folder: str | PathLike[str]) -> str:
    """SHA-256 over the files of the model that `find_model` finds, by their names, and over the
    averaged weights beside it.

    Raises:
        NotAModelError: there is none.
    """
    found = find_model(folder)
    sums = {
        str(file.relative_to(found)): sha256_file(file)
        for file in sorted(found.rglob("*"))
        if file.suffix in (".safetensors", ".json", ".bin")
    }
    if average := average_beside(found):
        sums[f"../{average.name}"] = sha256_file(average)
    return hashlib.sha256(canonical_json(sums)).hexdigest()


def read_info(folder: str | PathLike[str]) -> ModelInfo:
    """Read a model folder's `idol.json`.

    Raises:
        NotAModelError: it is absent, damaged, or of another format.
        ConfigError: its settings contradict each other.
    """
    path = Path(folder) / FILE
    try:
        content = json.loads(path.read_bytes())
    except (OSError, json.JSONDecodeError) as error:
        raise NotAModelError(f"{path} is absent or damaged: {error}") from error
    if not isinstance(content, dict):
        raise NotAModelError(f"{path} is damaged: it holds no settings")
    return ModelInfo.from_json(content, path)
