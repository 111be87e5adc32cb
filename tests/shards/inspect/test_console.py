from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from rich.table import Table

from shards.command import native_errors_hidden
from shards.inspect.console import QuietConsole


class _Closed(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError


def test_a_closed_pipe_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", _Closed())
    with pytest.raises(BrokenPipeError):
        QuietConsole().print("x")


def test_a_row_stays_on_one_line_unless_a_terminal_would_cut_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Table("reason")
    table.add_row(" ".join(["why"] * 99))
    QuietConsole().print(table)
    assert " ".join(["why"] * 99) in capsys.readouterr().out


def test_native_errors_are_hidden_and_those_of_python_are_not() -> None:
    script = (
        "import os, sys\n"
        "from shards.command import native_errors_hidden\n"
        "with native_errors_hidden():\n"
        "    os.write(2, b'native')\n"
        "    print('python', file=sys.stderr)\n"
        "os.write(2, b'after')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == "python\nafter"
    # Without any stderr there is nothing to hide, and nothing to fail on.
    nothing = script.replace("os.write", "bool").replace("(2, b", "(b")
    assert (
        subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", nothing]
        ).returncode
        == 0
    )


def test_stderr_is_as_before_after_an_error() -> None:
    stderr, handles = sys.stderr, set(os.listdir("/dev/fd"))
    with pytest.raises(ZeroDivisionError), native_errors_hidden():
        _ = 1 // 0
    assert sys.stderr is stderr
    assert set(os.listdir("/dev/fd")) <= handles  # what others have open they may close
