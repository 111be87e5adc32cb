"""`idol-prep`: turn human videos into shards, and fetch what that needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tyro
from tyro.extras import SubcommandApp

from idol.data.encode_cli import encode
from pipelines.build_cli import build_command, preset_of
from pipelines.recipe_cli import recipe_app
from pipelines.weights_cli import weights_app
from preprocess.errors import InputError
from shards.command import run
from shards.errors import ShardsError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-prep`; the exit code: 0, 1 (too much quarantined), or as `shards.command` says."""
    return run(
        "idol-prep",
        _command,
        argv,
        errors=(InputError, ShardsError, OSError),
        interrupted="stopped. Finished work is kept. Run the same command to resume.",
    )


def _command(arguments: Sequence[str]) -> int:
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
    return code


if __name__ == "__main__":
    sys.exit(main())
