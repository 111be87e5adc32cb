"""What every command shares: exit codes, errors in one line, a closed pipe, `--version`."""

from __future__ import annotations

import errno
import importlib
import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from shards.command import BAD_INPUT, as_typed, run

COMMANDS = {
    "idol-prep": "pipelines.cli",
    "idol-shards": "shards.inspect.cli",
    "idol-train": "idol.train.cli",
    "idol-bench": "idol.bench.cli",
    "idol-render": "idol.render.cli",
}


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (ValueError("--x must be 1"), 2, "try: --x must be 1\n"),
        (KeyboardInterrupt(), 130, "try: stopped\n"),
        (SystemExit(2), 2, ""),
        (SystemExit(0), 0, ""),
    ],
)
def test_what_ends_a_command_is_an_exit_code_and_a_line(
    raised: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(arguments: Sequence[str]) -> int:
        raise raised

    assert run("try", command, [], errors=(ValueError,), interrupted="stopped") == code
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize(
    ("name", "extra"),
    [("idol-train", "train"), ("idol-eval", "generate"), ("idol-render", "app")],
)
def test_what_is_not_installed_is_said_to_be(
    name: str, extra: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(arguments: Sequence[str]) -> int:
        importlib.import_module("torch_that_is_not_there.nn")
        return 0

    assert run(name, command, [], errors=()) == BAD_INPUT
    told = capsys.readouterr().err
    assert told.startswith(f"{name}: needs torch_that_is_not_there, which is not installed: ")
    assert f"`make install-{extra}`" in told
    assert f"'idol-video[{extra}]'" in told


def test_a_module_of_ours_that_is_not_there_is_a_mistake_of_ours() -> None:
    def command(arguments: Sequence[str]) -> int:
        importlib.import_module("shards.absent")
        return 0

    with pytest.raises(ModuleNotFoundError):
        run("idol-train", command, [], errors=())


def test_other_errors_keep_their_traceback() -> None:
    def command(arguments: Sequence[str]) -> int:
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        run("try", command, [], errors=(ValueError,))


def test_what_a_terminal_lacks_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(arguments: Sequence[str]) -> int:
        print("M\u00fcller \ud800")
        return 0

    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    assert run("try", command, [], errors=()) == 0
    assert out.getvalue() == b"M\\xfcller \\ud800\n"
    monkeypatch.setattr(sys, "stdout", None)  # closed from the start
    assert run("try", command, [], errors=()) == 0


def test_so_is_what_is_told_beside_codecs() -> None:
    program = (
        "import sys; from shards.command import native_errors_hidden\n"
        "with native_errors_hidden(): print('M\u00fcller \\ud800', file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"M\\xfcller \\ud800\n")


def test_sigterm_is_as_ctrl_c() -> None:
    def command(arguments: Sequence[str]) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
        return 0

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert run("try", command, [], errors=()) == 130
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("name", "module"), COMMANDS.items())
def test_each_command_tells_its_version_and_takes_a_closed_pipe(name: str, module: str) -> None:
    command = [sys.executable, "-m", module]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[0].rstrip(",")) == (0, name)
    for option in ("--help", "--version"):
        # Closed before anything starts: a process begun meanwhile by others would keep it open.
        reader, writer = os.pipe()
        os.close(reader)
        process = subprocess.Popen([*command, option], stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        _, err = process.communicate(timeout=100)
        assert (process.returncode, err) == (141, b"")


def test_hints_name_the_command_as_it_works_here(tmp_path, monkeypatch):
    """Beside the running command's own file, where the environment is not activated."""
    hint = "fetch it: `idol-prep weights fetch lite`, then `idol-shards ls out`"
    for command in ("idol-prep", "idol-shards"):
        path = tmp_path / ".venv" / "bin" / command
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/idol-prep"])
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    here = hint.replace("`idol", "`.venv/bin/idol")
    assert as_typed(hint) == here
    assert as_typed("the file idol-prep.txt") == "the file idol-prep.txt"
    monkeypatch.setenv("PATH", str(tmp_path / ".venv" / "bin"))
    assert as_typed(hint) == hint


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("module", "option"),
    [
        ("pipelines.cli", "--clip-timeout"),
        ("shards.inspect.cli", "--output"),
        ("idol.train.cli", "--init-from"),
        ("idol.bench.cli", "--help"),
    ],
)
def test_shells_complete_options(module, option, shell, capsys):
    command = importlib.import_module(module).main
    assert command(["--completion", shell]) == 0
    assert option.lstrip("-") in capsys.readouterr().out


def test_a_shell_that_cannot_be_completed_is_one_clear_line(capsys):
    for arguments in (["--completion"], ["--completion", "nonsense"]):
        assert run("idol-shards", lambda _: 0, arguments, errors=()) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EROFS, "x: run: the file system is read-only: choose a folder"),
        (errno.ENOSPC, "x: run: the disk is full: free some space"),
        (errno.EISDIR, "x: run: Is a directory"),
    ],
)
def test_what_the_system_refuses_is_told_without_its_number(
    number: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(arguments: object) -> int:
        raise OSError(number, os.strerror(number), "run")

    assert run("x", command, [], errors=(OSError,)) == BAD_INPUT
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "try: careful\ntry: wrong\n"),
        (["--log-level", "debug"], "try: fine\ntry: news\ntry: careful\ntry: wrong\n"),
        (["--log-level=info"], "try: news\ntry: careful\ntry: wrong\n"),
        (["--log-level", "error"], "try: wrong\n"),
    ],
)
def test_log_level_says_how_much_is_told(
    given: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(arguments: Sequence[str]) -> int:
        assert arguments == ["a", "--b"]
        log = logging.getLogger("shards.somewhere")
        log.debug("fine")
        log.info("news")
        log.warning("careful")
        log.error("wrong")
        return 0

    for place in range(3):
        arguments = ["a", "--b"]
        arguments[place:place] = given
        assert run("try", command, arguments, errors=()) == 0
        assert capsys.readouterr().err == told


@pytest.mark.parametrize("given", [["--log-level"], ["--log-level", "loud"], ["--log-level="]])
def test_an_unknown_log_level_is_refused(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("try", lambda arguments: 0, given, errors=()) == 2
    assert "--log-level must be one of debug, info, warning, error" in capsys.readouterr().err
