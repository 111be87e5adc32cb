"""Recorded checksums: whoever writes at the same time, no record is lost."""

import subprocess
import sys

import pytest

from preprocess.errors import InputError
from preprocess.weights import checksums

RECORD = checksums.Recorded("ab" * 32, 5, 7, "hub:owner/name@main", "0" * 40)


def test_what_is_recorded_is_read_back(tmp_path):
    root = tmp_path / "new"
    assert checksums.read(root) == {}
    checksums.record(root, "b", RECORD)
    checksums.record(root, "a", RECORD)
    assert checksums.read(root) == {"a": RECORD, "b": RECORD}
    checksums.forget(root, "b")
    assert checksums.read(root) == {"a": RECORD}
    assert sorted(p.name for p in root.iterdir()) == ["checksums.json"]


def test_records_of_processes_at_the_same_time_are_all_kept(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from preprocess.weights import checksums\n"
        "for i in range(20):\n"
        "    record = checksums.Recorded('ab', i, i, 'tests')\n"
        "    checksums.record(Path(sys.argv[1]), f'{sys.argv[2]}/{i}', record)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abc"
    ]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert len(checksums.read(tmp_path)) == 60


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}"),
        pytest.param("[" * 100_000, id="deep"),
        *('{"version": 2, "files": {}}', '{"version": 1, "files": {"a": 1}}'),
    ],
)
def test_a_damaged_file_says_so(content, tmp_path):
    (tmp_path / checksums.NAME).write_text(content)
    with pytest.raises(InputError, match=r"checksums\.json is damaged.*remove it"):
        checksums.read(tmp_path)
