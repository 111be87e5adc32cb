"""The command `idol-render`: parsing only, so that `--help` answers at once."""

import sys
from collections.abc import Sequence
from typing import Any

import tyro

from idol.config.render import RenderConfig
from idol.errors import IdolError
from shards.command import ALSO, run
from shards.environment import limit_threads
from shards.errors import ShardsError
from shards.heap import made_to_stay
from shards.options import Given, options_of

__all__ = ["main", "parse"]


def parse(arguments: Sequence[str]) -> RenderConfig:
    """Raises ConfigError for options that contradict each other, SystemExit for --help or what is
    no command line of ours."""
    kind: Any = options_of(RenderConfig, required=("video", "out"))
    given: Given = tyro.cli(
        kind,
        prog="idol-render",
        description="From a video with depth to a page to orbit in, a turntable, and files for "
        "other programs." + ALSO,
        args=list(arguments),
        config=(tyro.conf.DisallowNone,),
    )
    return RenderConfig(**given)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-render`; the exit code: 0, or as `shards.command` says."""
    return run("idol-render", _command, argv, errors=(IdolError, ShardsError, OSError, ValueError))


def _command(arguments: Sequence[str]) -> int:
    config = parse(arguments)
    limit_threads()
    with made_to_stay():
        from idol.render.run import render

    for path in render(config):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
