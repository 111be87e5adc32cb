"""A run's configuration in its output, and what of it may change when the run resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from idol.config.train import TrainConfig
from idol.train.errors import TrainError
from shards.files.atomic import write_atomically

__all__ = ["check_same_run", "described", "read_config", "write_config"]

_FILE = "config.json"

# What changes neither weights nor losses, or only moves the files they come from. The batch of a
# step may be divided otherwise: `global_batch` says what it is together.
_MAY_DIFFER = (
    *("shards", "output", "init_from", "base", "vae", "image_encoder"),
    *("data.cache", "data.cache_limit", "data.workers"),
    *("run.batch_size", "run.accumulation", "run.max_skipped"),
    *("run.gradient_checkpointing", "run.compile", "run.fsdp", "run.cpu", "report"),
)

# Checksums that differ would say nothing to anybody.
_OTHER_SHARDS = (
    "shards_digest: the shards, their order or a mixture's weights are not those that this run "
    "began with, --shards {}; give these, unchanged and in this order"
)


def described(config: TrainConfig, *, processes: int, shards_digest: str) -> dict[str, Any]:
    """The configuration as it is saved, with what it comes to together."""
    together = {"global_batch": config.global_batch(processes), "shards_digest": shards_digest}
    return {**config.as_json(), **together}


def check_same_run(saved: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Raise TrainError, with the differences, unless a run may resume with other settings."""
    differences = [
        _OTHER_SHARDS.format(" ".join(saved["shards"])) if name == "shards_digest" else line
        for name, line in _differences(saved, now)
        if not any(name == free or name.startswith(f"{free}.") for free in _MAY_DIFFER)
    ]
    if differences:
        raise TrainError(
            f"{folder} holds a run with other settings:\n"
            + "".join(f"  {line}\n" for line in differences)
            + "Give the same ones to resume, or another --output."
        )


def read_config(output: Path) -> dict[str, Any] | None:
    """The configuration saved in an output; None if there is none. Raises TrainError."""
    path = output / _FILE
    if not path.exists():
        return None
    try:
        return dict(json.loads(path.read_bytes()))
    except ValueError as error:
        raise TrainError(f"{path} is damaged ({error}): give another --output") from error


def write_config(output: Path, values: dict[str, Any]) -> None:
    """Save the configuration, whole or not at all."""
    write_atomically(output / _FILE, (json.dumps(values, indent=2) + "\n").encode())


def _differences(there: Any, here: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            yield from _differences(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
    elif there != here:
        yield name, f"{name}: {json.dumps(there)} there, {json.dumps(here)} here"
