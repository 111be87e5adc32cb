"""`idol-eval`: numbers for generated videos and their depth.

Only tyro is imported here, so that --help answers at once; each command imports what it needs.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.extras import SubcommandApp

from idol.errors import IdolError
from shards.command import ALSO, run
from shards.environment import limit_threads
from shards.errors import ShardsError

__all__ = ["main"]

_Json = Annotated[bool, arg(help="Print JSON for machines.")]

_app = SubcommandApp()


@_app.command
def protocols(
    name: Annotated[
        Positional[str], arg(metavar="[NAME]", help="Print what this one says; without it, a list.")
    ] = "",
    json: _Json = False,
) -> int:
    """List the protocols: all that a number depends on besides the frames."""
    from idol.evaluate.report import print_protocols

    print_protocols(name, as_json=json)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run `idol-eval`; the exit code: 0, or as `shards.command` says."""
    return run(
        "idol-eval",
        _command,
        argv,
        errors=(IdolError, ShardsError, OSError, ValueError),
        interrupted="stopped. Run the same command to resume.",
    )


def _command(arguments: Sequence[str]) -> int:
    limit_threads()
    code: int = _app.cli(
        prog="idol-eval",
        description="Numbers for generated videos and their depth." + ALSO,
        args=arguments,
        config=(FlagCreatePairsOff,),
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
