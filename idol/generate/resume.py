"""What a stopped generation leaves in its output's folder, and a later one takes up.

.resume/settings.json   what is made: another command's remains are not touched
.resume/inputs.npz      the person's and the motion's part: what annotators found
.resume/latents.npz     the latents after so many steps
.resume/preview.png     what takes the place of a finished video's preview when that is replaced

Each file is whole or absent. The noise is a function of the seed, so that latents and a number are
all that the steps to come depend on.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from idol.generate.errors import GenerationError
from idol.generate.generator import ClipConditions
from shards.files.atomic import remove_temporary, write_atomically
from shards.files.digest import canonical_json

__all__ = ["Remains", "differences"]

_log = logging.getLogger(__name__)

_FOLDER = ".resume"
_SETTINGS, _INPUTS, _LATENTS = "settings.json", "inputs.npz", "latents.npz"
_PREVIEW = "preview.png"
_ARRAYS = (
    *("foreground", "foreground_mask", "background", "background_mask", "skeletons"),
    *("foreground_joints", "joints"),
)


class Remains:
    """Of one output. `settings` are plain JSON, all that the video depends on."""

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        self._folder = out / _FOLDER
        self._settings = json.loads(canonical_json(settings))

    @staticmethod
    def there(out: Path) -> bool:
        """Whether a generation was stopped in this folder."""
        return (out / _FOLDER / _SETTINGS).is_file()

    def check(self, *, overwrite: bool = False) -> None:
        """Raises GenerationError where what is there belongs to other settings; with `overwrite` it
        is removed."""
        path = self._folder / _SETTINGS
        if not path.is_file():
            self.remove()  # nobody knows of what the rest is, which a removal that was stopped left
            return
        try:
            found = json.loads(path.read_bytes())
        except ValueError:
            found = None
        other = differences(found, self._settings) if isinstance(found, dict) else ["damaged"]
        if other and (overwrite or other == ["damaged"]):
            self.remove()
        elif other:
            raise GenerationError(
                f"{self._folder.parent} holds an unfinished video that was made with other "
                f"settings ({'; '.join(other[:4])}): run that command to finish it, or give "
                "--overwrite to begin anew"
            )

    def remove(self) -> None:
        """The video is made, or is not wanted any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def keep_inputs(self, conditions: ClipConditions, info: Mapping[str, Any]) -> None:
        """Keep what is generated from, and what the report says of it: plain JSON."""
        write_atomically(self._folder / _SETTINGS, canonical_json(self._settings, indent=1))
        of = vars(conditions)
        arrays = {name: of[name] for name in _ARRAYS if of[name] is not None}
        text = np.frombuffer(canonical_json({**info, "fps": conditions.fps}), np.uint8)
        self._write(_INPUTS, {**arrays, "json": text})

    def inputs(self) -> tuple[ClipConditions, dict[str, Any]] | None:
        """What was kept; None where nothing was."""
        arrays = self._read(_INPUTS)
        if arrays is None:
            return None
        info = json.loads(arrays.pop("json").tobytes())
        return ClipConditions(**arrays, fps=info.pop("fps")), info

    def keep_preview(self, png: bytes) -> None:
        """Keep a preview until the video is made; before the inputs, which say that it is there."""
        write_atomically(self._folder / _PREVIEW, png)

    def preview(self) -> bytes | None:
        """The one that was kept; None where none was."""
        path = self._folder / _PREVIEW
        return path.read_bytes() if path.is_file() else None

    def keep_step(self, steps: int, latents: np.ndarray) -> None:
        """Keep the latents, float32, after so many steps, in place of those before."""
        self._write(_LATENTS, {"steps": np.array(steps), "latents": latents})

    def step(self) -> tuple[int, np.ndarray] | None:
        """The last that was kept; None where none was."""
        arrays = self._read(_LATENTS)
        return None if arrays is None else (int(arrays["steps"]), arrays["latents"])

    def _write(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        remove_temporary(self._folder)
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        write_atomically(self._folder / name, content.getvalue())

    def _read(self, name: str) -> dict[str, np.ndarray] | None:
        path = self._folder / name
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                return dict(found)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            _log.warning(f"{path} is damaged ({error}): what it held is made again")
            return None


def differences(there: Mapping[str, Any], here: Mapping[str, Any], name: str = "") -> list[str]:
    """In which settings two differ, a few words each."""
    found = []
    for key in sorted(there.keys() | here.keys()):
        path = f"{name}.{key}" if name else key
        a, b = there.get(key), here.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, path)
        elif a != b:
            found.append(f"{path}: {_short(a)} there, {_short(b)} here")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
