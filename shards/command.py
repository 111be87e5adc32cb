"""What every command shares: exit codes, errors in one line, signals, `--version`, stderr."""

import io
import logging
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Literal, cast, get_args

from shards.environment import RefusedVariable, settle
from shards.files.native_stderr import stderr_to
from shards.files.system_errors import explain

__all__ = [
    "ALSO",
    "BAD_INPUT",
    "BROKEN_PIPE",
    "INTERRUPTED",
    "LogLevel",
    "as_typed",
    "native_errors_hidden",
    "run",
    "say",
]

# Exit codes: those of tyro and argparse for bad input, and of a shell for SIGINT and SIGPIPE.
BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141

# The end of each command's description.
ALSO = (
    "\n\nAlone, --version prints the version, and --completion SHELL what bash, zsh or fish need "
    "to complete options. Anywhere, --log-level debug, info, warning or error says how much is "
    "logged on stderr."
)

LogLevel = Literal["debug", "info", "warning", "error"]

_LEVEL = "--log-level"
_OWN = ("idol", "pipelines", "preprocess", "shards")
_SHELLS = ("bash", "zsh", "fish")
_PACKAGE = "idol-video"
# What has to be installed besides for these commands.
_EXTRAS = {
    "idol-train": "train",
    "idol-generate": "generate",
    "idol-eval": "generate",
    "idol-render": "app",
    "idol-app": "app",
}
_log = logging.getLogger(__name__)
_COMMAND = re.compile(r"`(idol-(?:app|prep|shards|train|bench|eval|generate|render))\b")


def run(
    name: str,
    command: Callable[[Sequence[str]], int],
    argv: Sequence[str] | None = None,
    *,
    errors: tuple[type[Exception], ...],
    interrupted: str | None = None,
    log_level: LogLevel = "warning",
) -> int:
    """Run `command` with the arguments `argv`, by default the process's; returns the exit code.

    That is what `command` returns, or 2 for one of `errors`, which becomes one line on stderr;
    130 for Ctrl-C and SIGTERM, after the line `interrupted` if there is one; 141 when the reader
    of stdout has left. `--version` alone prints the version, `--completion SHELL` what lets a
    shell complete the command's options; `--log-level LEVEL` anywhere takes the place of
    `log_level`, from which on our loggers write lines on stderr. Other exceptions are not caught.
    What the environment could change of a result is settled first, see `shards.environment`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--completion"]:
        if len(arguments) != 2 or arguments[1] not in _SHELLS:
            say(name, f"--completion takes the name of a shell: {', '.join(_SHELLS)}")
            return BAD_INPUT
        arguments[0] = "--tyro-print-completion"
    # Names of files may be any bytes, and the terminal of any codec: what it lacks is written out.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Schedulers stop jobs by SIGTERM: leave as orderly as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    mistakes: tuple[type[Exception], ...] = (RefusedVariable, *errors)
    try:
        arguments, log_level = _taken_log_level(arguments, log_level)
    except ValueError as error:
        say(name, str(error))
        return BAD_INPUT
    try:
        with _logged(name, log_level):
            for line in settle():
                if os.environ.get("RANK", "0") == "0":
                    _log.warning(line)
            code = _print_version(name) if arguments == ["--version"] else _code(command, arguments)
            if sys.stdout is not None:  # as where it was closed from the start
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
    except mistakes as error:
        say(name, explain(error))
        return BAD_INPUT
    except ModuleNotFoundError as error:
        missing, extra = (error.name or "").partition(".")[0], _EXTRAS.get(name)
        if not missing or missing in _OWN or extra is None:
            raise
        say(
            name,
            f"needs {missing}, which is not installed: `make install-{extra}`, or pip install "
            f"'{_PACKAGE}[{extra}]'",
        )
        return BAD_INPUT


def _taken_log_level(arguments: list[str], default: LogLevel) -> tuple[list[str], LogLevel]:
    """The arguments without `--log-level`, and its value. Raises ValueError for another one."""
    rest, level = [], None
    waiting = iter(arguments)
    for argument in waiting:
        if argument == _LEVEL:
            level = next(waiting, "")
        elif argument.startswith(f"{_LEVEL}="):
            level = argument.partition("=")[2]
        else:
            rest.append(argument)
            continue
        if level not in get_args(LogLevel):
            raise ValueError(f"{_LEVEL} must be one of {', '.join(get_args(LogLevel))}")
    return rest, default if level is None else cast(LogLevel, level)


class _Lines(logging.Handler):
    """Writes what our loggers say as `say` would."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command

    def emit(self, record: logging.LogRecord) -> None:
        say(self._command, self.format(record))


@contextmanager
def _logged(name: str, level: LogLevel) -> Iterator[None]:
    """What our loggers say from `level` on is written on stderr in here."""
    lines = _Lines(name)
    loggers = [logging.getLogger(package) for package in _OWN]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level.upper())
        logger.addHandler(lines)
    try:
        yield
    finally:
        for logger, old in zip(loggers, before, strict=True):
            logger.setLevel(old)
            logger.removeHandler(lines)


def say(name: str, message: str) -> None:
    """Print a line of the command on stderr."""
    print(f"{name}: {as_typed(message)}", file=sys.stderr)


def as_typed(text: str) -> str:
    """The text with its `idol-...` commands as they work here: with their folder, where the
    environment is not activated."""
    return _COMMAND.sub(lambda command: f"`{_folder(command[1])}{command[1]}", text)


def _folder(command: str) -> str:
    if shutil.which(command):
        return ""
    for folder in (os.path.dirname(sys.argv[0]), os.path.dirname(sys.executable)):
        if folder and os.path.exists(os.path.join(folder, command)):
            near = os.path.relpath(folder)
            return os.path.join(folder if near.startswith("..") else near, "")
    return ""


@contextmanager
def native_errors_hidden() -> Iterator[None]:
    """Keeps libpng and libjpeg from printing about images that our own errors name.

    They write to the process's file 2 behind Python's back. What Python prints to stderr is shown.
    For commands only: the whole process is affected.
    """
    with open(os.devnull, "w") as nowhere, stderr_to(nowhere.fileno()) as shown:
        own = sys.__stderr__
        if shown is None or own is None or sys.stderr is not own:
            yield
            return
        with (
            open(shown, "w", 1, own.encoding, "backslashreplace", closefd=False) as stderr,
            redirect_stderr(stderr),
        ):
            yield


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
