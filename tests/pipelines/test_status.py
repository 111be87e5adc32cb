"""`idol-prep status`: how far a build is, from its files alone."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from pipelines.build import build, plan_build
from pipelines.cli import main
from pipelines.compute import Compute
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter
from shards.files.locks import BUILDING, process_start
from shards.files.storage import Store
from tests.pipelines.conftest import BARE, tree
from tests.pipelines.test_build import command, tiktok
from tests.processes import until_there

RECIPE = {**BARE, "clip_length": 8, "clips_per_shard": 3}


def status(out, capsys, code=0):
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_build_is_told_while_it_runs_and_leaves_nothing(videos, tmp_path, capsys):
    seen = []

    class Asking(Reporter):
        def committed(self, manifest):
            seen.append(status(tmp_path / "out", capsys))

    plan = plan_build(Recipe("videos", **RECIPE), videos)
    build(plan, str(tmp_path / "out"), Asking(), compute=Compute(workers=0))
    first = seen[0]
    assert (first["state"], first["planned"], first["shards_planned"]) == ("building", 11, 4)
    assert first["committed"] == 3
    assert first["remaining"] == 8
    assert first["builder"]["pid"] == os.getpid()
    assert first["builder"]["alive"]
    last = status(tmp_path / "out", capsys)
    assert (last["state"], last["planned"], last["committed"]) == ("complete", 11, 11)
    assert (last["remaining"], last["builder"], last["adds_up"]) == (0, None, True)
    assert not (tmp_path / "out" / BUILDING).exists()
    assert main(["status", str(tmp_path / "out")]) == 0
    assert "11 clips in 4 shards" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "state"), [(signal.SIGTERM, "stopped"), (signal.SIGKILL, "died")])
def test_a_build_that_was_stopped_says_so_and_one_that_died_is_found(
    run, videos, tmp_path, capsys, start, stop, state
):
    out = tmp_path / "out"
    process = start(
        command(videos, out, "--workers", "0"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until_there(lambda: len(list(out.glob("*/shard-*.json"))) >= 3, process)
    process.send_signal(signal.SIGSTOP)  # it does not end while it is asked for
    running = status(out, capsys)
    assert running["state"] == "building"
    assert running["builder"]["pid"] == process.pid
    process.send_signal(stop)
    process.send_signal(signal.SIGCONT)
    process.wait(timeout=120)
    left = status(out, capsys, code=1)
    assert left["state"] == state
    assert not left["builder"]["alive"]
    assert left["planned"] == left["committed"] + left["remaining"] == 90
    assert left["committed"] >= 3
    recipe = {"clip_length": 2, "stride": 1, "clips_per_shard": 1}
    run(videos, out, **recipe)
    assert status(out, capsys)["state"] == "complete"
    run(videos, tmp_path / "never stopped", **recipe)
    assert tree(out) == tree(tmp_path / "never stopped")


def test_a_build_that_ends_while_it_is_asked_for_has_not_died(
    run, videos, tmp_path, capsys, monkeypatch
):
    run(videos, tmp_path / "out")
    info = tmp_path / "out" / "dataset.json"
    complete = info.read_text()
    info.write_text(complete.replace('"complete"', '"building"'))
    assert status(tmp_path / "out", capsys)["state"] == "died"
    read = Store.read_if_there

    def late(store, name):
        if name == BUILDING:
            info.write_text(complete)
        return read(store, name)

    monkeypatch.setattr(Store, "read_if_there", late)
    assert status(tmp_path / "out", capsys)["state"] == "complete"


def test_what_is_quarantined_is_counted_by_reason_everywhere(run, write_image, tmp_path, capsys):
    source = tiktok(tmp_path / "TikTok_dataset", write_image)
    (source / "00001" / "images" / "0011.png").write_bytes(b"broken")
    (source / "00001" / "images" / "0018.png").write_bytes(b"broken")
    totals = run(source, tmp_path / "out", dataset="tiktok").info.totals
    assert (totals["planned"], totals["clips"], totals["quarantined"]) == (3, 1, 2)
    assert totals["kinds"] == {"clip": 2}
    assert set(totals["reasons"].values()) == {1}
    said = status(tmp_path / "out", capsys)
    assert (said["planned"], said["committed"], said["quarantined"]) == (3, 1, 2)
    assert said["reasons"] == totals["reasons"]


def test_a_lost_shard_does_not_add_up(run, videos, tmp_path, capsys):
    run(videos, tmp_path / "out")
    next((tmp_path / "out" / "train").glob("*.json")).unlink()
    said = status(tmp_path / "out", capsys, code=1)
    assert not said["adds_up"]
    assert said["remaining"] > 0
    assert main(["status", str(tmp_path / "out")]) == 1
    assert "run the build's command again" in capsys.readouterr().out


@pytest.mark.parametrize("state", ["died", "stopped", "failed"])
def test_a_build_that_ended_early_does_not_add_up(run, videos, tmp_path, capsys, state):
    run(videos, tmp_path / "out")
    next((tmp_path / "out" / "train").glob("*.json")).unlink()
    info = tmp_path / "out" / "dataset.json"
    info.write_text(info.read_text().replace('"complete"', '"building"'))
    if state != "died":
        said = {"host": "there", "user": "ann", "pid": 1, "began": 0, "seen": 0, "every": 1}
        said |= {"state": state, "counts": {}}
        (tmp_path / "out" / BUILDING).write_text(json.dumps(said))
    said = status(tmp_path / "out", capsys, code=1)
    assert (said["state"], said["adds_up"]) == (state, False)


def test_folders_without_a_build_are_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "not there", tmp_path / "file"):
        assert main(["status", str(out)]) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_a_status_file_that_lies_is_no_error(run, videos, tmp_path, capsys):
    run(videos, tmp_path / "out")
    for content in (b"", b"[]", b'{"host": 3}', b"\xff\xfe", b'{"counts": {}}'):
        (tmp_path / "out" / BUILDING).write_bytes(content)
        assert status(tmp_path / "out", capsys)["state"] == "complete"


def test_what_another_version_may_have_written_is_no_error(run, videos, tmp_path, capsys):
    out = tmp_path / "out"
    run(videos, out)
    said = {"host": socket.gethostname(), "user": "ann", "pid": os.getpid(), "began": 0, "seen": 0}
    said |= {"state": "building", "every": 1, "counts": {}}  # and not when its process began
    rates = {"clips_per_second": "fast"}
    for change in (
        *({}, {"why": {"a": 1}}, {"pid": 10**18}, {"counts": {"workers": "many"}}),
        *({"counts": rates}, {"counts": {"committed": [1]}}),
    ):
        (out / BUILDING).write_text(json.dumps(said | change))
        assert main(["status", str(out)]) == 0
        assert status(out, capsys)["state"] == "complete"
    info = json.loads((out / "dataset.json").read_text())
    for planned in ({}, {"clips": "x", "shards": {}}, {"clips": 1, "shards": [1]}):
        info["extras"]["planned"] = planned
        (out / "dataset.json").write_text(json.dumps(info))
        assert status(out, capsys)["planned"] is None


def test_a_process_is_known_by_its_start():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert process_start(child.pid) not in (None, process_start(os.getpid()))
    child.kill()
    until_there(lambda: process_start(child.pid) is None)  # a zombie runs no more
    child.wait()
