"""The command `idol-app`: parsing only, so that `--help` answers at once."""

import importlib.util
import sys
from collections.abc import Sequence

import tyro

from idol.config.app import AppConfig
from idol.errors import IdolError
from shards.command import ALSO, run
from shards.environment import limit_threads
from shards.errors import ShardsError
from shards.heap import keep_freed_memory, made_to_stay
from shards.options import options_of

__all__ = ["main"]


class NotInstalledError(IdolError):
    """What the page needs is not installed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-app`; the exit code: 0, or as `shards.command` says."""
    return run(
        "idol-app",
        _command,
        argv,
        errors=(IdolError, ShardsError, OSError, ValueError),
        interrupted="stopped.",
    )


def _command(arguments: Sequence[str]) -> int:
    given = tyro.cli(
        options_of(AppConfig),
        prog="idol-app",
        description="A page in the browser: from one photo and a motion to a video with depth. "
        "Nothing leaves this machine." + ALSO,
        args=list(arguments),
        config=(tyro.conf.DisallowNone,),
    )
    config = AppConfig(**given)
    if importlib.util.find_spec("gradio") is None:
        raise NotInstalledError(
            "the page needs Gradio, which is not installed: run `make install-app`, or "
            "`pip install 'idol-video[app]'`"
        )
    limit_threads()
    keep_freed_memory()
    with made_to_stay():
        from idol.app.server import serve

    serve(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
