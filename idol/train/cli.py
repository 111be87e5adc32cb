"""The command `idol-train`: parsing only, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import tyro

from idol.model.config import DualModalUNetConfig, StageName
from idol.model.presets import PresetName
from idol.train.config import TrainConfig
from idol.train.defaults import defaults
from idol.train.errors import TrainError
from shards.errors import ShardsError

__all__ = ["main", "parse"]

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def parse(argv: Sequence[str] | None = None) -> TrainConfig:
    """The configuration of a command line, with the defaults of its stage and preset.

    Raises:
        TrainError, ValueError: settings that contradict each other.
        SystemExit: it is no command line of ours, or asks for help.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--stage", choices=get_args(StageName), default="video")
    first.add_argument("--preset", choices=get_args(PresetName), default="sd14")
    first.add_argument("--init-from", type=Path)
    known, _ = first.parse_known_args(argv)
    return tyro.cli(
        TrainConfig,
        prog="idol-train",
        description=(
            "Train a stage of IDOL on shards. The same command goes on where it was stopped. "
            "Defaults shown are those of --stage and --preset."
        ),
        default=defaults(known.stage, known.preset, model=_settings_of(known.init_from)),
        args=argv,
        config=(tyro.conf.DisallowNone,),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-train`; the exit code: 0, 1 (diverged), 2 (bad input), 130 (stopped)."""
    # Schedulers stop jobs by SIGTERM: leave as orderly as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(level=logging.INFO, format="idol-train: %(message)s")
    try:
        config = parse(argv)
        return _train(config)
    except KeyboardInterrupt:
        _say("stopped. The same command goes on from the newest checkpoint.")
        return EXIT_INTERRUPTED
    except (TrainError, ShardsError, ValueError, OSError) as error:
        _say(str(error))
        return EXIT_BAD_INPUT


def _train(config: TrainConfig) -> int:
    from idol.train.errors import DivergedError
    from idol.train.interrupt import InterruptedRun
    from idol.train.train import train

    try:
        model = train(config)
    except InterruptedRun as stopped:
        _say(f"{stopped}. The same command goes on from there.")
        return EXIT_INTERRUPTED
    except DivergedError as error:
        _say(str(error))
        return EXIT_FAILED
    if _is_first():
        print(f"the model: {model}")
    return 0


def _settings_of(init_from: Path | None) -> DualModalUNetConfig | None:
    return None


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _say(message: str) -> None:
    rank = "" if _is_first() else f" (process {os.environ['RANK']})"
    print(f"idol-train{rank}: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
