"""The command `idol-train`: parsing only, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import tyro

from idol.config.model import DualModalUNetConfig, PresetName, StageName
from idol.config.presets import defaults
from idol.config.train import TrainConfig
from idol.errors import IdolError
from idol.train.checkpoint import Checkpoints
from idol.train.errors import DivergedError
from idol.train.interrupt import InterruptedRun
from idol.train.resume import read_config
from shards.command import INTERRUPTED, run, say
from shards.errors import ShardsError

__all__ = ["main", "parse", "run_config"]

EXIT_DIVERGED = 1


def parse(argv: Sequence[str] | None = None) -> TrainConfig:
    """The configuration of a command line, with the defaults of its stage and preset.

    Raises:
        ConfigError: settings that contradict each other.
        SystemExit: it is no command line of ours, or asks for help.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--stage", choices=get_args(StageName))
    first.add_argument("--preset", choices=get_args(PresetName))
    first.add_argument("--init-from", type=Path)
    first.add_argument("--output", type=Path)
    known, _ = first.parse_known_args(argv)
    start = defaults(
        known.stage or "video",
        known.preset or "sd14",
        model=_settings_of(known.output, known.init_from),
    )
    if known.stage is None:  # it is asked for, and what is shown is for the last stage
        start = dataclasses.replace(start, stage=tyro.MISSING)
    return tyro.cli(
        TrainConfig,
        prog="idol-train",
        description=(
            "Train a stage of IDOL on shards. Run the same command to resume. "
            "Defaults shown are those of --stage and --preset."
        ),
        default=start,
        args=argv,
        config=(tyro.conf.DisallowNone,),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-train`; the exit code: 0, 1 (diverged), or as `shards.command` says."""
    logging.basicConfig(level=logging.INFO, format="idol-train: %(message)s")
    return _run(lambda arguments: _train(parse(arguments)), argv)


def run_config(config: TrainConfig) -> int:
    """Train, and turn what stops it into one clear line and the exit code of `main`."""
    return _run(lambda _: _train(config), ())


def _run(command: Callable[[Sequence[str]], int], argv: Sequence[str] | None) -> int:
    return run(
        _name(),
        command,
        argv,
        errors=(IdolError, ShardsError, ValueError, OSError),
        interrupted="stopped. Run the same command to resume from the newest checkpoint.",
    )


def _train(config: TrainConfig) -> int:
    from idol.train.train import train

    try:
        model = train(config)
    except InterruptedRun as stopped:
        say(_name(), f"{stopped}. Run the same command to resume.")
        return INTERRUPTED
    except DivergedError as error:
        say(_name(), str(error))
        return EXIT_DIVERGED
    if _rank() == "0":
        print(f"the model: {model}")
    return 0


def _settings_of(output: Path | None, init_from: Path | None) -> DualModalUNetConfig | None:
    """The sizes and switches of a run that goes on, or of the stage before, which it takes over."""
    if not init_from:
        return None
    if output and Checkpoints(output / "checkpoints").listed() and (saved := read_config(output)):
        # What it started from may be gone by now.
        return DualModalUNetConfig.from_dict(saved["model"])
    from idol.saved import find_model, read_info

    return read_info(find_model(init_from)).settings


def _name() -> str:
    return "idol-train" if _rank() == "0" else f"idol-train (process {_rank()})"


def _rank() -> str:
    return os.environ.get("RANK", "0")


if __name__ == "__main__":
    sys.exit(main())
