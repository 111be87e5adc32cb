"""What must be as it was for a run to resume: its settings, its shards, its frozen networks."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from idol.config.train import TrainConfig
from idol.train.stopping import TrainError
from shards.environment import differences, recorded
from shards.files.atomic import write_atomically
from shards.mix import Mixture
from shards.stream.order import samples_in_block

__all__ = [
    "STATE",
    "check_frozen",
    "check_same_run",
    "described",
    "differing",
    "read_config",
    "shards_digest",
    "write_config",
]

STATE = "run.json"
"""In a checkpoint: all of a run but tensors."""

_FILE = "config.json"
_FROZEN = {
    "vae": "--vae",
    "latents": "--vae",
    "image_encoder": "--image-encoder",
    "teacher": "--init-from",
}

# What changes neither weights nor losses, or only moves the files they come from. The batch of a
# step may be divided otherwise: `global_batch` says what it is together.
_MAY_DIFFER = (
    "shards",
    "output",
    "init_from",
    "base",
    "vae",
    "image_encoder",
    "motion_adapter",
    "pose_adapter",
    "data.cache",
    "data.cache_limit",
    "data.workers",
    "run.batch_size",
    "run.accumulation",
    "run.clips_per_step",
    "run.max_skipped",
    "run.gradient_checkpointing",
    "run.compile",
    "run.cuda_graphs",
    "run.fsdp",
    "run.cpu",
    "report",
    "cached_latents",  # a function of the others
    "environment",  # compared by `shards.environment`, which knows what matters
)

# What is read of a saved configuration; another's config.json has not all of it.
_PARTS = {"shards": list, "model": dict, "run": dict, "shards_digest": str}

# Two differing checksums say nothing to a reader.
_OTHER_SHARDS = (
    "shards_digest: the shards, their order or a mixture's weights are not those that this run "
    "began with, --shards {}; give these, unchanged and in this order"
)


def described(config: TrainConfig, *, processes: int, shards_digest: str) -> dict[str, Any]:
    """The configuration as it is saved, with what it comes to together, and the environment."""
    together = {"global_batch": config.global_batch(processes), "shards_digest": shards_digest}
    return {**config.as_json(), **together, "environment": recorded()}


def check_same_run(saved: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Raise TrainError, with the differences, unless a run may resume with other settings."""
    if lines := differing(saved, now):
        raise TrainError(
            f"{folder} holds a run with different settings:\n"
            + "".join(f"  {line}\n" for line in lines)
            + "Give the same ones to resume, or another --output."
        )


def differing(saved: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What makes another run of it, a line each: `described` as it was saved, and as it is now."""
    may_differ = set(_MAY_DIFFER)
    if now["optimizer"]["dropout_draw"] == "batch":
        may_differ -= {"run.batch_size", "run.accumulation"}
    lines = [
        _OTHER_SHARDS.format(" ".join(saved["shards"])) if name == "shards_digest" else line
        for name, line in _differences(saved, now)
        if not any(name == free or name.startswith(f"{free}.") for free in may_differ)
    ]
    return [*lines, *differences(saved.get("environment", {}), now["environment"])]


def read_config(output: Path) -> dict[str, Any] | None:
    """The configuration saved in an output; None if there is none. Raises TrainError."""
    path = output / _FILE
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("it holds no settings")
        if lacking := [n for n, kind in _PARTS.items() if not isinstance(values.get(n), kind)]:
            raise ValueError(f"it has no {', '.join(lacking)} of a run")
    except ValueError as error:
        raise TrainError(f"{path} is damaged ({error}): give another --output") from error
    return values


def write_config(output: Path, values: dict[str, Any]) -> None:
    """Save the configuration, whole or not at all."""
    write_atomically(output / _FILE, (json.dumps(values, indent=2) + "\n").encode())


def shards_digest(mixture: Mixture) -> str:
    """SHA-256 over the checksums of all shards in their order: the data's identity.

    Of a mixture with each dataset's samples in a block, to which the weights come.
    """
    digest = hashlib.sha256()
    counts = samples_in_block(mixture.weights) if mixture.weights else None
    for number, dataset in enumerate(mixture.datasets):
        if counts is not None:
            digest.update(f"mixed {counts[number]}\n".encode())
        for shard in dataset.shards_of():
            manifest = shard.manifest
            digest.update(f"{manifest.sha256} {manifest.bytes} {len(manifest.samples)}\n".encode())
    return digest.hexdigest()


def check_frozen(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise TrainError unless a run resumes with the frozen networks that it began with."""
    TrainError.raise_if_any(
        [
            f"{_FROZEN[name]}: give the one that it began with, or another --output"
            for name in before.keys() & now.keys()
            if before[name] != now[name]
        ],
        "this run began with other frozen networks",
    )


def _default_of(name: str) -> Any:
    """What `section.setting` is where nobody sets it, as JSON has it; None for what is none."""
    kind: Any = TrainConfig
    for part in name.split("."):
        field = next((f for f in _fields(kind) if f.name == part), None)
        if field is None:
            return None
        kind = get_type_hints(kind)[part]
    if field is None or field.default is dataclasses.MISSING:
        return None
    return json.loads(json.dumps(field.default, default=str))


def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()


def _differences(saved: Any, given: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(saved, dict) and isinstance(given, dict):
        for key in sorted(saved.keys() | given.keys()):
            of = f"{name}.{key}".lstrip(".")
            # A run that an earlier version began has not all settings, and is as these are unset.
            if key in saved or given[key] != _default_of(of):
                yield from _differences(saved.get(key), given.get(key), of)
    elif saved != given:
        yield name, f"{name}: saved {json.dumps(saved)}, given {json.dumps(given)}"
