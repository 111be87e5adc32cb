"""Whether what is there was made with the settings that are asked for now.

A stage that is finished is not run again: with other settings it would go into the tables as
something that it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from idol.config.claims import ClaimsConfig
from idol.errors import IdolError
from idol.evaluate.compare import read_scores
from idol.evaluate.run import RUN
from idol.train.cli import parse
from idol.train.resume import described, differing, read_config, shards_digest
from shards.files.digest import parse_json
from shards.mix import open_mixture

__all__ = ["ClaimsError", "check_scored", "check_trained"]


class ClaimsError(IdolError):
    """A command of a row failed, and its log says why; or what is there was made otherwise."""


def check_trained(output: Path, command: Sequence[str], start: Path | None) -> None:
    """Of a finished stage.

    Args:
        output: the stage's `--output`.
        command: what `idol-train` would be given now.
        start: the model that it would go on with, if one was given.

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
    if start and start.resolve() not in _places(before):
        lines.append(f"init_from: saved {before}, given {start}")
    _raise_if_any(output, lines)


def check_scored(scored: Path, config: ClaimsConfig, seed: int) -> None:
    """Of a row's scores.

    Raises:
        ClaimsError: naming all that differs.
        EvaluationError: they cannot be read.
    """
    said = read_scores(scored)["settings"] | parse_json((scored / RUN).read_bytes())
    wanted = {
        "steps": config.sampling_steps,
        "scheduler": config.scheduler,
        "seed": seed,
        "limit": config.clips,
        "pose": config.pose,
        "metrics": list(config.metrics),
    }
    lines = [f"{k}: saved {said[k]}, given {v}" for k, v in wanted.items() if said[k] != v]
    reference = config.held_out or config.shards
    if Path(said["reference"]).resolve() != reference.resolve():
        lines.append(f"reference: saved {said['reference']}, given {reference}")
    _raise_if_any(scored, lines)


def _places(before: str | None) -> tuple[Path, ...]:
    """A saved origin, and the output that it is the model of."""
    return (Path(before).resolve(), Path(before).resolve().parent) if before else ()


def _raise_if_any(folder: Path, lines: Sequence[str]) -> None:
    if lines:
        raise ClaimsError(
            f"{folder} was made with other settings:\n"
            + "".join(f"  {line}\n" for line in lines)
            + "Give the same ones, or another --out."
        )
