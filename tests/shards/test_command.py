"""What every command shares: exit codes, errors in one line, a closed pipe, `--version`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from shards.command import run

COMMANDS = {
    "idol-prep": "pipelines.cli",
    "idol-shards": "shards.inspect.cli",
    "idol-train": "idol.train.cli",
    "idol-bench": "idol.bench.cli",
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


def test_other_errors_keep_their_traceback() -> None:
    def command(arguments: Sequence[str]) -> int:
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        run("try", command, [], errors=(ValueError,))


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
        process = subprocess.Popen(
            [*command, option], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (141, b"")
