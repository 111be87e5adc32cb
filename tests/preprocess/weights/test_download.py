"""Downloads on the loopback: they go on where they ended, and a wrong file is never placed."""

import json
import random
import shutil
from pathlib import Path

import pytest

from preprocess import weights
from preprocess.errors import InputError
from preprocess.weights import Checksum, Hub, Reporter, Url, checksums

from .conftest import sha256
from .publisher import Served

CONTENT = random.Random(0).randbytes(1_500_000)
OTHER = random.Random(1).randbytes(1_500_000)
HALF = 700_000
GIVEN_UP = [0] * 6  # connections that bring nothing, after which nobody tries again


class Kept(Reporter):
    """Keeps what it was told."""

    def __init__(self):
        self.starts, self.advances, self.reasons = [], 0, []

    def started(self, entry, here, total):
        self.starts.append((here, total))

    def advanced(self, entry, by):
        self.advances += by

    def interrupted(self, entry, reason, wait):
        self.reasons.append(reason)


def fetch(entry, root, reporter=None):
    return list(weights.fetch((entry,), root, reporter))


def placed(root: Path) -> list[str]:
    """Every file below the folder but the recorded checksums."""
    found = (p for p in root.rglob("*") if p.is_file() and checksums.NAME not in p.name)
    return sorted(p.relative_to(root).as_posix() for p in found)


@pytest.fixture
def offered(publisher, make_entry):
    """offered(**served) puts a file on the loopback and gives it and its entry."""

    def offer(content=CONTENT, stated=(), size=None, **served):
        publisher.files["/a.bin"] = Served(content, **served)
        entry = make_entry("tests/a.bin", Url(f"{publisher.url}/a.bin"), stated, size)
        return publisher.files["/a.bin"], entry

    return offer


def test_a_file_is_placed_and_recorded(offered, publisher, tmp_path):
    _, entry = offered()
    reporter = Kept()
    assert fetch(entry, tmp_path, reporter) == [entry]
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    assert reporter.starts == [(0, len(CONTENT))]
    assert reporter.advances == len(CONTENT)
    assert placed(tmp_path) == ["tests/a.bin"]
    record = json.loads((tmp_path / "checksums.json").read_text())["files"]["tests/a.bin"]
    assert record["sha256"] == sha256(CONTENT)
    assert record["source"] == f"127.0.0.1:{publisher.port}"
    assert weights.check(entry, tmp_path) == "ok"
    assert fetch(entry, tmp_path) == []
    assert len(publisher.asked) == 1


def test_dropped_connections_go_on_where_they_ended(offered, publisher, tmp_path):
    _, entry = offered(stated=sha256(CONTENT), drops=[HALF, 100_000, 0, 0])
    reporter = Kept()
    fetch(entry, tmp_path, reporter)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    ranges = [asked.range for asked in publisher.asked]
    assert ranges == [None, "bytes=700000-", "bytes=800000-", "bytes=800000-", "bytes=800000-"]
    assert reporter.advances == len(CONTENT)
    assert reporter.reasons == ["the connection ended early"] * 4


def test_a_server_that_keeps_failing_is_given_up_and_the_part_kept(offered, publisher, tmp_path):
    _, entry = offered(drops=[HALF, *GIVEN_UP])
    with pytest.raises(InputError, match=r"6 times in a row.*goes on from there"):
        fetch(entry, tmp_path)
    assert placed(tmp_path) == ["tests/a.bin.part", "tests/a.bin.part.json"]
    publisher.asked.clear()
    reporter = Kept()
    fetch(entry, tmp_path, reporter)
    assert [asked.range for asked in publisher.asked] == ["bytes=700000-"]
    assert reporter.starts == [(HALF, len(CONTENT))]
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    assert placed(tmp_path) == ["tests/a.bin"]


@pytest.fixture
def part(offered, publisher, tmp_path):
    """A download that ended after HALF bytes: what is served, and the entry."""
    served, entry = offered(drops=[HALF, *GIVEN_UP])
    with pytest.raises(InputError):
        fetch(entry, tmp_path)
    publisher.asked.clear()
    assert (tmp_path / "tests/a.bin.part").read_bytes() == CONTENT[:HALF]
    return served, entry


def test_a_file_that_changed_meanwhile_starts_anew(part, publisher, tmp_path):
    served, entry = part
    served.content, served.etag = OTHER, '"two"'
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == OTHER
    assert [asked.status for asked in publisher.asked] == [200]


@pytest.mark.parametrize(
    ("etag", "headers"),
    [('"two"', {}), ('"one"', {"X-Linked-Etag": f'"{sha256(OTHER)}"'})],
    ids=["publisher", "hub"],
)
def test_a_server_that_continues_another_file_is_seen_through(
    etag, headers, part, publisher, tmp_path
):
    """It ignores If-Range; what else it says tells."""
    served, entry = part
    served.content, served.etag, served.headers = OTHER, etag, headers
    served.heeds_conditions = False
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == OTHER
    assert [asked.status for asked in publisher.asked] == [206, 200]


def test_a_server_without_ranges_starts_anew(part, publisher, tmp_path):
    served, entry = part
    served.ranges = False
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"one"'])
def test_without_a_strong_etag_nothing_is_continued(etag, offered, publisher, tmp_path):
    _, entry = offered(etag=etag, drops=[HALF])
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    assert [asked.range for asked in publisher.asked] == [None, None]


def test_an_unknown_length_is_no_obstacle(offered, tmp_path):
    _, entry = offered(length=False, stated=sha256(CONTENT))
    reporter = Kept()
    fetch(entry, tmp_path, reporter)
    assert reporter.starts == [(0, None)]
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT


def test_a_part_spoilt_on_disk_is_fetched_anew(offered, publisher, tmp_path):
    _, entry = offered(stated=sha256(CONTENT), drops=[HALF, *GIVEN_UP])
    with pytest.raises(InputError):
        fetch(entry, tmp_path)
    publisher.asked.clear()
    (tmp_path / "tests/a.bin.part").write_bytes(bytes(HALF))
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    assert [asked.range for asked in publisher.asked] == ["bytes=700000-", None]


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ((Checksum("sha256", sha256(OTHER), "its page"),), "sha256 is .*stated by its page"),
        ((Checksum("md5", "4b8939", "its file name"),), "md5 is .*, not 4b8939"),
        ((Checksum("sha256", "501f0c75", "its file name"),), "not 501f0c75"),
    ],
)
def test_a_wrong_checksum_is_refused_and_nothing_stays(stated, message, offered, tmp_path):
    _, entry = offered(stated=stated)
    with pytest.raises(InputError, match=message):
        fetch(entry, tmp_path)
    assert placed(tmp_path) == []


def test_a_wrong_size_is_refused_before_it_is_fetched(offered, tmp_path):
    _, entry = offered(size=len(CONTENT) + 1)
    reporter = Kept()
    with pytest.raises(InputError, match=r"1500000 bytes, and tests/a\.bin 1500001"):
        fetch(entry, tmp_path, reporter)
    assert reporter.advances == 0
    assert placed(tmp_path) == []


def test_a_file_that_was_replaced_upstream_is_not_taken_silently(offered, tmp_path):
    served, entry = offered()
    fetch(entry, tmp_path)
    (tmp_path / "tests/a.bin").unlink()
    served.content = OTHER
    with pytest.raises(InputError, match=r"idol-prep weights accept tests/a\.bin"):
        fetch(entry, tmp_path)
    assert not weights.accept(entry, tmp_path)
    fetch(entry, tmp_path)
    assert weights.checksum("tests/a.bin", tmp_path) == sha256(OTHER)


def test_a_full_disk_is_seen_before_the_download(offered, tmp_path, monkeypatch):
    _, entry = offered()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    reporter = Kept()
    with pytest.raises(InputError, match=r"needs 1500000 bytes more, and the disk of .* 1000000"):
        fetch(entry, tmp_path, reporter)
    assert reporter.advances == 0


def test_a_missing_file_says_so(offered, publisher, tmp_path):
    _, entry = offered()
    publisher.files.clear()
    with pytest.raises(InputError, match=r"tests/a.bin: http://.*/a.bin answers 404 \(there is no"):
        fetch(entry, tmp_path)
    assert placed(tmp_path) == []


def test_a_busy_server_is_asked_again_when_it_says(offered, publisher, tmp_path):
    _, entry = offered(statuses=[(503, {"Retry-After": "0"}), (429, {})])
    reporter = Kept()
    fetch(entry, tmp_path, reporter)
    assert reporter.reasons == ["the server answers 503", "the server answers 429"]
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"


@pytest.mark.parametrize(
    ("content", "headers", "message"),
    [
        (POINTER, {}, "git-lfs pointer"),
        (b"\n<!DOCTYPE html><title>log in</title>", {}, "web page"),
        (b"welcome", {"Content-Type": "text/html; charset=utf-8"}, "web page"),
        (b"", {}, "empty"),
    ],
)
def test_what_is_no_weights_is_never_placed(content, headers, message, offered, tmp_path):
    _, entry = offered(content, headers=headers)
    with pytest.raises(InputError, match=message):
        fetch(entry, tmp_path)
    assert placed(tmp_path) == []


def test_without_a_network_one_message_says_everything(make_entry, nowhere, tmp_path):
    entry = make_entry("tests/a.bin", Url(f"{nowhere}/a.bin"))
    with pytest.raises(InputError) as error:
        fetch(entry, tmp_path)
    message = str(error.value)
    assert "\n" not in message
    for part in (
        "tests/a.bin (made by a test)",
        f"{nowhere}/a.bin",
        "cannot be reached",
        f"`idol-prep weights fetch tests --weights {tmp_path}`",
        f"copy {tmp_path}",
        f"at {tmp_path}/tests/a.bin",
    ):
        assert part in message
    assert placed(tmp_path) == []


REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(publisher, make_entry, monkeypatch):
    """A hub that hands its file on to another host name, as real ones do: the file, the entry."""
    monkeypatch.setenv("HF_ENDPOINT", publisher.url)
    monkeypatch.setenv("HF_TOKEN", "secret")
    source = Hub("owner/name", "main", "unet/a.bin")
    elsewhere = {
        "Location": f"http://localhost:{publisher.port}/cdn/a.bin?signed=1",
        "X-Repo-Commit": REVISION,
        "X-Linked-Etag": f'"{sha256(CONTENT)}"',
    }
    publisher.files["/owner/name/resolve/main/unet/a.bin"] = Served(
        b"", statuses=[(302, elsewhere)] * 3
    )
    publisher.files["/cdn/a.bin?signed=1"] = Served(CONTENT)
    return publisher.files["/cdn/a.bin?signed=1"], make_entry("tests/a.bin", source)


def test_the_token_goes_to_the_hub_alone(hub, publisher, tmp_path):
    _, entry = hub
    fetch(entry, tmp_path)
    assert [(asked.host, asked.authorization) for asked in publisher.asked] == [
        (f"127.0.0.1:{publisher.port}", "Bearer secret"),
        (f"localhost:{publisher.port}", None),
    ]


def test_other_publishers_get_no_token(offered, publisher, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetch(offered()[1], tmp_path)
    assert [asked.authorization for asked in publisher.asked] == [None]


def test_the_hub_s_commit_is_recorded(hub, tmp_path):
    fetch(hub[1], tmp_path)
    recorded = checksums.read(tmp_path)["tests/a.bin"]
    assert recorded.revision == REVISION
    assert recorded.source == "hub:owner/name@main"


def test_what_is_not_what_the_hub_announced_is_refused(hub, tmp_path):
    served, entry = hub
    served.content = OTHER
    with pytest.raises(InputError, match="damaged on its way"):
        fetch(entry, tmp_path)
    assert placed(tmp_path) == []


def test_a_resumed_download_asks_the_hub_again(hub, publisher, tmp_path):
    """Addresses of content networks expire."""
    served, entry = hub
    served.drops.append(HALF)
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    assert [asked.range for asked in publisher.asked] == [
        *(None, None),
        *("bytes=700000-", "bytes=700000-"),
    ]


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/a.bin"])
def test_redirects_lead_nowhere_but_to_the_web(location, offered, tmp_path):
    _, entry = offered(statuses=[(302, {"Location": location})])
    with pytest.raises(InputError, match="redirects to"):
        fetch(entry, tmp_path)


def test_a_closed_door_names_the_token(hub, publisher, tmp_path):
    _, entry = hub
    publisher.files["/owner/name/resolve/main/unet/a.bin"].statuses = [(401, {})]
    with pytest.raises(InputError, match=r"\(401\).*HF_TOKEN"):
        fetch(entry, tmp_path)
