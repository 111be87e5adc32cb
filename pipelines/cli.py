"""`idol-prep`: turn human videos into shards, and fetch what that needs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import tyro
from tyro.extras import SubcommandApp

from idol.data.encode_cli import encode
from pipelines.build_cli import build_command, preset_of
from pipelines.recipe_cli import recipe_app
from pipelines.weights_cli import weights_app
from preprocess.errors import InputError
from shards.errors import ShardsError

__all__ = ["main"]

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-prep`; the exit code: 0, 1 (too much quarantined), 2 (bad input), 130 (stopped)."""
    # Schedulers stop jobs by SIGTERM: leave as orderly as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        app = SubcommandApp()
        app.command(name="build")(build_command(preset_of(arguments), arguments))
        app.command(encode)
        app.command(recipe_app, name="recipe", help="List, show and compare recipes.")
        app.command(weights_app, name="weights", help="List, fetch and check external files.")
        code: int = app.cli(
            prog="idol-prep",
            description="Turn human videos into shards with masks, skeletons and depth.",
            args=arguments,
            config=(tyro.conf.DisallowNone,),
        )
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print(
            "idol-prep: stopped. Committed shards are kept; the same command goes on from there.",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone: leave, and let Python's own flush at exit find nothing wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except (InputError, ShardsError, OSError) as error:
        print(f"idol-prep: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
