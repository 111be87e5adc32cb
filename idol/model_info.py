"""What a trained model is: its folder and its `idol.json`, read without loading any network."""

import dataclasses
import json
from os import PathLike
from pathlib import Path
from typing import Any

from idol.checkpoint import Checkpoints
from idol.config.model import DualModalUNetConfig, PresetName, StageName
from idol.errors import IdolError

__all__ = ["FILE", "ModelInfo", "NotAModelError", "find_model", "read_info"]

FILE = "idol.json"
# What a saved model's numbers mean; 1 had patches of pixels as preset tiny's latents.
FORMAT = 2


class NotAModelError(IdolError):
    """A folder holds no trained model, or one of another version."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What `idol.json` says.

    Attributes:
        settings: of the video model, whose one-frame form the earlier stages train.
        size: height and width of its images; `frames`: of its clips.
        step: of the stage, at which it was saved.
        vae, image_encoder: folders or hub names of frozen parts; None where there are none, or
            where they lie beside `idol.json`.
    """

    stage: StageName
    preset: PresetName
    settings: DualModalUNetConfig
    size: int
    frames: int
    step: int
    vae: str | None = None
    image_encoder: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"format": FORMAT, **values, "settings": self.settings.to_dict()}


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


def read_info(folder: str | PathLike[str]) -> ModelInfo:
    """Read a model folder's `idol.json`.

    Raises:
        NotAModelError: it is absent, damaged, or of another format.
        ConfigError: its settings contradict each other.
    """
    path = Path(folder) / FILE
    try:
        values = json.loads(path.read_bytes())
        if (found := values.pop("format")) != FORMAT:
            when = "an older" if found < FORMAT else "a newer"
            raise NotAModelError(
                f"{path} was written by {when} version (format {found}; this one reads {FORMAT}): "
                "train that model again, or take the version that wrote it"
            )
        settings = DualModalUNetConfig.from_dict(values.pop("settings"))
        return ModelInfo(settings=settings, **values)
    except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise NotAModelError(f"{path} is absent or damaged: {error}") from error
