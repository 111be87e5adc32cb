"""What every command shares: exit codes, errors in one line, signals, `--version`, stderr."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["BAD_INPUT", "BROKEN_PIPE", "INTERRUPTED", "native_errors_hidden", "run", "say"]

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


@contextmanager
def native_errors_hidden() -> Iterator[None]:
    """Keeps libpng and libjpeg from printing about images that our own errors name.

    They write to the process's file 2 behind Python's back. What Python prints to stderr is shown.
    For commands only: the whole process is affected.
    """
    try:
        shown = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    python = sys.stderr
    try:
        with open(os.devnull, "w") as nowhere, os.fdopen(shown, "w", buffering=1) as stderr:
            if python is sys.__stderr__:
                sys.stderr = stderr
            os.dup2(nowhere.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(shown, 2)
    finally:
        sys.stderr = python


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
