"""Whether what is there was made with the settings that are asked for now.

A stage that is finished is not run again: with other settings it would go into the tables as
something that it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from idol.bench.claims.errors import ClaimsError
from idol.bench.claims.rows import GUIDANCE
from idol.config.claims import ClaimsConfig
from idol.evaluate.compare import read_scores
from idol.evaluate.run import RUN
from idol.model_info import model_digest
from idol.train.cli import parse
from idol.train.resume import described, differing, read_config, shards_digest
from shards.files.digest import parse_json
from shards.mix import open_mixture

__all__ = ["check_measured", "check_scored", "check_trained"]


def check_trained(output: Path, command: Sequence[str], out: Path) -> None:
    """Of a finished stage.

    Args:
        output: the stage's `--output`.
        command: what `idol-train` would be given now.
        out: the folder of all runs, which may have been moved since.

    Raises:
        ClaimsError: naming all that differs.
        ShardsError: there is no dataset.
    """
    saved = read_config(output)
    if saved is None:
        raise ClaimsError(f"{output} has lost its config.json: move the folder away")
    config = parse(command)
    mixture = open_mixture(config.shards)
    now = described(config, processes=1, shards_digest=shards_digest(mixture))
    lines = differing(saved, now)
    before = saved["init_from"]
    if _origin(before, out) != _origin(config.init_from, out):
        lines.append(f"init_from: saved {before}, given {config.init_from}")
    if saved["run"]["cpu"] != config.run.cpu:
        lines.append(
            f"device: saved {_device(saved['run']['cpu'])}, given {_device(config.run.cpu)}"
        )
    _raise_if_any(output, lines)


def check_scored(
    scored: Path, video: Path, config: ClaimsConfig, seed: int, reference: Path
) -> None:
    """Of a row's scores, those of the model in `video` against the clips of `reference`.

    Raises:
        ClaimsError: naming all that differs.
        EvaluationError: they cannot be read.
    """
    said = read_scores(scored)["settings"] | _read(scored / RUN)
    wanted = {
        "steps": config.sampling_steps,
        "scheduler": config.scheduler,
        "guidance": GUIDANCE,
        "seed": seed,
        "limit": config.clips,
        "pose": config.pose,
        "metrics": list(config.metrics),
    }
    lines = [f"{k}: saved {said.get(k)}, given {v}" for k, v in wanted.items() if said.get(k) != v]
    if Path(said["reference"]).resolve() != reference.resolve():
        lines.append(f"reference: saved {said['reference']}, given {reference}")
    _raise_if_any(scored, lines)
    _check_model(scored, said, video)


def check_measured(gradients: Path, video: Path) -> None:
    """Of a row's shares of the gradient. Raises ClaimsError: they are of another model."""
    _check_model(gradients, _read(gradients), video)


def _check_model(path: Path, said: Mapping[str, Any], video: Path) -> None:
    # A model that is gone is trained again, and asked for after that.
    if (video / "model").is_dir() and said.get("model") != model_digest(video):
        raise ClaimsError(f"{path} is of another model than {video} has now: move it away")


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(parse_json(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise ClaimsError(f"{file} cannot be read ({error}): move its folder away") from error


def _origin(before: str | Path | None, out: Path) -> Path | None:
    """Where a stage began: a folder in `out`, wherever that lies, by its name and its seed's."""
    if before is None:
        return None
    folder = Path(before).parent if Path(before).name == "model" else Path(before)
    runs = [n for n, part in enumerate(folder.parts) if part == "runs"]
    if runs and (out / Path(*folder.parts[runs[-1] :])).exists():
        return Path(*folder.parts[runs[-1] :])
    return folder.resolve()


def _device(cpu: bool) -> str:
    return "cpu" if cpu else "cuda"


def _raise_if_any(folder: Path, lines: Sequence[str]) -> None:
    if lines:
        raise ClaimsError(
            f"{folder} was made with other settings:\n"
            + "".join(f"  {line}\n" for line in lines)
            + "Give the same ones, or another --out."
        )
