"""What every command shares: exit codes, errors in one line, signals, `--version`."""

import os
import signal
import sys
from collections.abc import Callable, Sequence

__all__ = ["BAD_INPUT", "BROKEN_PIPE", "INTERRUPTED", "run", "say"]

# Exit codes: those of tyro and argparse for bad input, and of a shell for SIGINT and SIGPIPE.
BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141

_PACKAGE = "idol-video"


def run(
    name: str,
    command: Callable[[Sequence[str]], int],
    argv: Sequence[str] | None = None,
    *,
    errors: tuple[type[Exception], ...],
    interrupted: str | None = None,
) -> int:
    """Run `command` with the arguments `argv`, by default the process's; returns the exit code.

    That is what `command` returns, or 2 for one of `errors`, which becomes one line on stderr;
    130 for Ctrl-C and SIGTERM, after the line `interrupted` if there is one; 141 when the reader
    of stdout has left. `--version` alone prints the version. Other exceptions are not caught.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Schedulers stop jobs by SIGTERM: leave as orderly as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = _print_version(name) if arguments == ["--version"] else _code(command, arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        if interrupted:
            say(name, interrupted)
        return INTERRUPTED
    except BrokenPipeError:
        # stdout was closed by the reader; point it at /dev/null so the exit-time flush cannot
        # raise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except errors as error:
        say(name, str(error))
        return BAD_INPUT


def say(name: str, message: str) -> None:
    """Print a line of the command on stderr."""
    print(f"{name}: {message}", file=sys.stderr)


def _code(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        return command(arguments)
    except SystemExit as stop:  # after --help, or arguments that cannot be parsed
        return int(stop.code or 0)


def _print_version(name: str) -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(f"{name} {version(_PACKAGE)}")
    except PackageNotFoundError:
        print(f"{name}, not installed: run from its source")
    return 0
