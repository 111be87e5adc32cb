"""The lock file: whoever writes at the same time, no record is lost."""

import subprocess
import sys

import pytest

from preprocess.errors import InputError
from preprocess.weights import lock

RECORD = lock.Recorded("ab" * 32, 5, 7, "hub:owner/name@main", "0" * 40)


def test_what_is_recorded_is_read_back(tmp_path):
    root = tmp_path / "new"
    assert lock.read(root) == {}
    lock.record(root, "b", RECORD)
    lock.record(root, "a", RECORD)
    assert lock.read(root) == {"a": RECORD, "b": RECORD}
    lock.forget(root, "b")
    assert lock.read(root) == {"a": RECORD}
    assert sorted(p.name for p in root.iterdir()) == [".checksums.json.lock", "checksums.json"]


def test_records_of_processes_at_the_same_time_are_all_kept(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from preprocess.weights import lock\n"
        "for i in range(20):\n"
        "    record = lock.Recorded('ab', i, i, 'tests')\n"
        "    lock.record(Path(sys.argv[1]), f'{sys.argv[2]}/{i}', record)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abc"
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(lock.read(tmp_path)) == 60


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 2, "files": {}}', '{"version": 1, "files": {"a": 1}}']
)
def test_a_damaged_lock_file_says_so(content, tmp_path):
    (tmp_path / lock.LOCK_NAME).write_text(content)
    with pytest.raises(InputError, match=r"checksums\.json is damaged.*remove it"):
        lock.read(tmp_path)
