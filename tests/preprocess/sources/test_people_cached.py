"""anny's data are made ready once, by one process, and are there whole or not at all."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from preprocess.sources.people.cached import data_folder
from preprocess.sources.people.source import listing_of
from preprocess.sources.people.spec import PeopleSpec
from tests.processes import Start

pytest.importorskip("anny")

# A model that takes as long to make ready as to write two halves of a file.
LOAD = """
import os, sys, time
import anny
from preprocess.sources.people.cached import anny_model

class Slow:
    def __init__(self):
        file = anny.paths.get_anny_cache_path() / "data"
        if not file.exists():
            with file.open("w") as half:
                half.write("half")
                half.flush()
                print("making", flush=True)
                if sys.argv[1] == "dies":
                    os._exit(9)
                time.sleep(1)
                half.write(" and half")
        self.data = file.read_text()

anny.Anny = Slow
print(anny_model().data)
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", LOAD, *arguments]


@pytest.mark.timeout(240)
def test_a_kill_and_a_second_process_leave_no_half(tmp_path: Path, start: Start) -> None:
    environment = {**os.environ, "ANNY_CACHE_DIR": str(tmp_path)}
    assert subprocess.run(command("dies"), env=environment, check=False).returncode == 9
    assert not any(path.name.startswith("idol-") for path in tmp_path.iterdir())
    running = [
        start(command("lives"), env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(process.communicate()[0] for process in running)
    assert said == ["half and half\n", "making\nhalf and half\n"]
    [folder] = tmp_path.iterdir()  # no lock, nothing unfinished
    assert folder.name.startswith("idol-")
    again = subprocess.run(
        command("lives"), env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    assert again.stdout == "half and half\n"


def test_who_has_to_wait_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ANNY_CACHE_DIR", str(tmp_path))
    caplog.set_level(logging.WARNING)
    spec = PeopleSpec(videos=1)
    listing_of(spec, tmp_path / "spec.yaml")
    assert "once on this machine" in caplog.text
    caplog.clear()
    folder = data_folder()
    assert folder is not None
    folder.mkdir()
    listing_of(spec, tmp_path / "spec.yaml")
    assert not caplog.text
