"""The command `idol-train`: parsing only, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import tyro

from idol.config.defaults import defaults
from idol.config.model import DualModalUNetConfig, StageName
from idol.config.presets import PresetName
from idol.config.train import TrainConfig
from idol.train.checkpoint import Checkpoints
from idol.train.errors import DivergedError, TrainError
from idol.train.interrupt import InterruptedRun
from idol.train.resume import read_config
from shards.errors import ShardsError

__all__ = ["main", "parse", "run_config"]

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def parse(argv: Sequence[str] | None = None) -> TrainConfig:
    """The configuration of a command line, with the defaults of its stage and preset.

    Raises:
        TrainError, ValueError: settings that contradict each other.
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
            "Train a stage of IDOL on shards. The same command goes on where it was stopped. "
            "Defaults shown are those of --stage and --preset."
        ),
        default=start,
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
    except BrokenPipeError:
        # Whoever read us has gone: leave, and let Python's own flush at exit find nothing wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except (TrainError, ValueError, OSError) as error:
        _say(str(error))
        return EXIT_BAD_INPUT
    return run_config(config)


def run_config(config: TrainConfig) -> int:
    """Train, and turn what stops it into one clear line and the exit code of `main`."""
    try:
        from idol.train.train import train

        model = train(config)
    except InterruptedRun as stopped:
        _say(f"{stopped}. The same command goes on from there.")
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        _say("stopped. The same command goes on from the newest checkpoint.")
        return EXIT_INTERRUPTED
    except DivergedError as error:
        _say(str(error))
        return EXIT_FAILED
    except (TrainError, ShardsError, ValueError, OSError) as error:
        _say(str(error))
        return EXIT_BAD_INPUT
    if _is_first():
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


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _say(message: str) -> None:
    rank = "" if _is_first() else f" (process {os.environ['RANK']})"
    print(f"idol-train{rank}: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
