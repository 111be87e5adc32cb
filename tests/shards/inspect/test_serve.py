"""The server: only what a dataset holds, to its own page alone; and many clips stay smooth."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from shards.errors import StorageError
from shards.inspect.gallery.serve import Server, Site
from shards.reader import open_dataset, read_sample
from tests.browser import Browse, serious_faults, until
from tests.s3 import bucket, s3_server  # noqa: F401

KEY = "videos-walk-16"
DRAWN = (
    "document.querySelector('.tile')"
    " && [...document.querySelectorAll('.tile canvas')].every((c) => c.width > 1)"
)


# Asked for before the browser, it stops after it: a request cut off is an error in the console.
@pytest.fixture
def served(dataset: Path) -> Iterator[Server]:
    yield from serving(dataset)


def serving(root: Path | str) -> Iterator[Server]:
    with Server(open_dataset(root)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(
    server: Server, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in named)
    for name, value in named.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, answer.headers


def test_members_come_as_they_are_stored(served: Server, dataset: Path) -> None:
    members = read_sample(open_dataset(dataset).find(KEY))
    for name, data in members[:3]:
        status, body, headers = ask(served, f"/member?n=1&name={quote(name)}")
        assert (status, body) == (200, data)
        assert headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{name}"
    _, body, _ = ask(served, "/sample?n=1")
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert [(m.name, tar.extractfile(m).read()) for m in tar] == members
    status, body, headers = ask(served, "/clip?n=1", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1000
    told = json.loads(ask(served, "/facts?from=0")[1])
    assert told["columns"]["key"][1] == KEY


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/train/shard-00000.tar",
        "/member?n=0&name=../../etc/passwd",
        "/member?n=0&name=/etc/passwd",
        "/member?n=0",
        "/strip?n=0&modality=../x",
        "/thumb?n=-1",
        "/thumb?n=4",
        "/thumb?n=1e9",
        "/thumb?n=%D9%A1",
        "/sample?n=99999999999999999999",
        "/thumb?" + "&".join(f"a{i}=1" for i in range(20)),
        "//evil.example/thumb?n=0",
    ],
)
def test_nothing_else_can_be_asked_for(served: Server, path: str) -> None:
    status, body, headers = ask(served, path)
    assert status in (400, 404)
    assert body.count(b"\n") == 1
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_only_its_own_page_is_answered(served: Server) -> None:
    port = served.server_address[1]
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "",
        "localhost.evil.example",
        "127.0.0.1.x",
    ):
        assert ask(served, "/", Host=host)[0] == 421
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST"):
        assert ask(served, "/", Host=host)[0] == 200
    assert ask(served, "/thumb?n=0", Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(served, "/", Sec_Fetch_Site="cross-site")[0] == 200  # a link to it
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(served, "/", method)[0] == 501
    assert ask(served, "/facts?from=0&edition=other")[0] == 409
    headers = ask(served, "/")[2]
    policy = headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "connect-src 'self'"):
        assert part in policy
    assert "unsafe" not in policy


def test_what_is_damaged_is_one_line(served: Server, dataset: Path) -> None:
    tar = dataset / "train/shard-00000.tar"
    tar.write_bytes(b"\xff" * tar.stat().st_size)
    status, body, _ = ask(served, "/thumb?n=0")
    assert status == 422
    assert b"videos-walk-0" in body
    told = json.loads(ask(served, "/clip?n=0")[1])
    assert "videos-walk-0" in told["faults"][0]
    tar.unlink()
    status, body, _ = ask(served, "/clip?n=0")
    assert (status, body.count(b"\n")) == (422, 1)


def test_a_visitor_sees_the_clips(served: Server, browse: Browse) -> None:
    # The test itself reads pixels back.
    shown = browse(width=1600, said=("willReadFrequently",))
    shown.goto(f"{served.url}#clip={KEY}")
    dialog = shown.get_by_role("dialog")
    until(shown, "[...document.querySelectorAll('.panel canvas')].length == 9")
    until(
        shown,
        "document.querySelector('.panel canvas').getContext('2d')"
        ".getImageData(5, 5, 1, 1).data[3] == 255",
    )
    with shown.expect_download() as download:
        dialog.get_by_role("link", name="Sample").click()
    assert download.value.suggested_filename == f"{KEY}.tar"
    assert serious_faults(shown) == []
    shown.keyboard.press("Escape")
    until(shown, DRAWN)
    shown.get_by_role("tab", name="Quarantined").click()
    until(shown, "document.getElementById('panel-quarantined').textContent.includes('no person')")


def test_a_damaged_clip_is_told_in_the_page(served: Server, browse: Browse, dataset: Path) -> None:
    tar = dataset / "train/shard-00000.tar"
    tar.write_bytes(b"\xff" * tar.stat().st_size)
    shown = browse(said=("422",))
    shown.goto(served.url)
    until(shown, "document.querySelectorAll('.tile-say:not(:empty)').length == 2")
    shown.locator(".tile").first.click()
    until(shown, "document.querySelector('.fault').textContent.includes('shard-00000.tar')")
    assert shown.locator(".panel").count() == 0


def test_a_store_is_read_in_ranges(build: Callable[[str], None], memory_url: str) -> None:
    build(memory_url)
    for server in serving(memory_url):
        assert ask(server, "/thumb?n=3")[0] == 200
        assert json.loads(ask(server, "/clip?n=3")[1])["key"] == "videos-walk-48"


def test_a_port_that_is_taken_is_one_line(served: Server, dataset: Path) -> None:
    with pytest.raises(StorageError, match="--port 0 takes a free one"):
        Server(open_dataset(dataset), port=served.server_address[1])
    with pytest.raises(StorageError, match="cannot listen"):
        Server(open_dataset(dataset), host="no.such.name.invalid")


def test_ctrl_c_ends_it(dataset: Path) -> None:
    # Whoever runs the tests in the background has Ctrl-C ignored for all that they start.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from shards.inspect.cli import main; raise SystemExit(main())"
    )
    command = [sys.executable, "-c", program, "serve", str(dataset), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(re.findall(r"http://127.0.0.1:(\d+)/", process.stdout.readline())[0])
            # While it is at work, for whoever closes it does not wait.
            asking = [threading.Thread(target=ask_until_gone, args=(port, n)) for n in range(4)]
            for thread in asking:
                thread.start()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=100)
            for thread in asking:
                thread.join()
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")


def test_what_hangs_does_not_keep_it_from_ending(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand clips at once that are read from a store which does not answer, none is waited
    for by itself, which would take beyond this test's time."""
    monkeypatch.setattr("shards.inspect.gallery.serve.usable_cores", lambda: 1000)
    monkeypatch.setattr("shards.inspect.gallery.serve._CLOSING", 0.5)
    site = Site(open_dataset(dataset))
    while site._turn.acquire(blocking=False):
        pass
    site.close()


def ask_until_gone(port: int, n: int) -> None:
    with suppress(OSError, http.client.HTTPException):
        while True:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                connection.request("GET", f"/clip?n={n}")
                connection.getresponse().read()


@pytest.mark.slow
def test_ten_thousand_clips_stay_smooth(tmp_path: Path, chromium: Any) -> None:
    """What takes time is printed; what must hold on any machine is the memory, the cells, and the
    processor time that the page takes in one piece."""
    from bench import gallery

    clips = int(os.environ.get("IDOL_TEST_CLIPS", "10000"))
    gallery.make(tmp_path / "many", clips)
    found = gallery.measure(chromium, str(tmp_path / "many"), steps=60, opened=40, passes=3)
    print(json.dumps(found, indent=2))
    [first, second, third] = found[
        "memory of the server after asking for every clip, pass by pass, MB"
    ]
    assert third < second + 10
    assert third < first + 30
    assert found["cells in the page"] < 120
    for what in ("loading", "scrolling", "opening clips", "sorting"):
        assert found[f"longest task while {what}, ms of processor time"] < 100
    assert found["clips"].startswith(f"{clips:,} clips")


def test_a_bucket_is_read_in_ranges(build: Callable[[str], None], bucket: str) -> None:  # noqa: F811
    """On a server that speaks S3: clips, pictures and members come by key and offset."""
    build(f"{bucket}/data")
    for server in serving(f"{bucket}/data"):
        assert ask(server, "/thumb?n=3")[0] == 200
        told = json.loads(ask(server, "/clip?n=2")[1])
        assert (told["key"], told["faults"]) == ("videos-walk-32", [])
        assert ask(server, "/strip?n=2&modality=depth_person")[0] == 200
