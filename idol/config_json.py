"""A part's `config.json` as diffusers writes it, but for where the part was loaded from.

So a run that resumes writes the files that an undisturbed one does, and nobody's paths.
"""

import json
from os import PathLike
from pathlib import Path

from diffusers.configuration_utils import ConfigMixin

__all__ = ["Placeless", "write_config_json"]


class Placeless:
    """Of our own parts, before diffusers' classes: all that saves them writes it so."""

    config_name = "config.json"

    def to_json_string(self) -> str:
        """The file's content."""
        return _without_place(super().to_json_string())  # type: ignore[misc]


def write_config_json(part: ConfigMixin, folder: str | PathLike[str]) -> None:
    """Write it for a part of diffusers. Raises OSError."""
    config = _without_place(part.to_json_string())
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "config.json").write_text(config, encoding="utf-8")


def _without_place(content: str) -> str:
    values = json.loads(content)
    values.pop("_name_or_path", None)
    return json.dumps(values, indent=2, sort_keys=True) + "\n"
