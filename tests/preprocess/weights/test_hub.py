"""Downloads from a hub on the loopback: they are resumed, and a wrong file is never placed."""

import json
import random
import shutil
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from preprocess import weights
from preprocess.errors import InputError
from preprocess.weights import Checksum, Hub, checksums

from .conftest import sha256
from .publisher import REVISION, Served

CONTENT = random.Random(0).randbytes(1_500_000)
OTHER = random.Random(1).randbytes(1_500_000)
HALF = 700_000
PATH = "/owner/name/resolve/main/unet/a.bin"
GIVEN_UP = [0] * 5  # connections that bring nothing, after which nobody tries again


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What comes is written in pieces of 10 MB, else, and tries are a second apart."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def fetch(entry, root):
    """Fetch an entry, and give the lines that were said."""
    said = []
    assert list(weights.fetch((entry,), root, said.append)) == [entry]
    return said


def placed(root: Path) -> list[str]:
    """Every file below the folder but the recorded checksums."""
    found = (p for p in root.rglob("*") if p.is_file() and checksums.NAME not in p.name)
    return sorted(p.relative_to(root).as_posix() for p in found)


def parts(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in root.rglob("*.part")]


@pytest.fixture
def offered(publisher, make_entry):
    """offered(**served) puts a file on the hub and gives it and its entry."""

    def offer(content=CONTENT, stated=(), size=None, **served):
        publisher.files[PATH] = Served(content, **served)
        return publisher.files[PATH], make_entry(
            "tests/a.bin", Hub("owner/name", "main", "unet/a.bin"), stated, size
        )

    return offer


def test_a_file_is_placed_and_recorded(offered, publisher, tmp_path):
    _, entry = offered()
    assert fetch(entry, tmp_path) == ["fetching tests/a.bin (1.5 MB) from hub:owner/name@main"]
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    assert placed(tmp_path) == ["tests/a.bin"]
    record = json.loads((tmp_path / "checksums.json").read_text())["files"]["tests/a.bin"]
    assert record["sha256"] == sha256(CONTENT)
    assert record["source"] == "hub:owner/name@main"
    assert record["revision"] == REVISION
    assert weights.check(entry, tmp_path) == "ok"
    assert list(weights.fetch((entry,), tmp_path)) == []
    assert len(publisher.read) == 1


def test_dropped_connections_are_resumed(offered, publisher, tmp_path):
    _, entry = offered(stated=sha256(CONTENT), drops=[HALF, 100_000, 0, 0])
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    ranges = [asked.range for asked in publisher.read]
    assert ranges == [None, "bytes=700000-", "bytes=800000-", "bytes=800000-", "bytes=800000-"]


def test_a_server_that_keeps_failing_is_given_up_and_the_part_kept(offered, publisher, tmp_path):
    _, entry = offered(drops=[HALF, *GIVEN_UP])
    with pytest.raises(InputError, match=r"connection failed.*run the same command to resume"):
        fetch(entry, tmp_path)
    assert parts(tmp_path) == [CONTENT[:HALF]]
    publisher.asked.clear()
    (said,) = fetch(entry, tmp_path)
    assert said.endswith("resuming from 700.0 kB")
    assert [asked.range for asked in publisher.read] == ["bytes=700000-"]
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    assert placed(tmp_path) == ["tests/a.bin"]


@pytest.fixture
def part(offered, publisher, tmp_path):
    """A download that ended after HALF bytes: what is served, and the entry."""
    served, entry = offered(drops=[HALF, *GIVEN_UP])
    with pytest.raises(InputError):
        fetch(entry, tmp_path)
    publisher.asked.clear()
    assert parts(tmp_path) == [CONTENT[:HALF]]
    return served, entry


def test_a_file_that_changed_meanwhile_starts_anew(part, publisher, tmp_path):
    served, entry = part
    served.content = OTHER
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == OTHER
    assert [asked.range for asked in publisher.read] == [None]
    assert placed(tmp_path) == ["tests/a.bin"]


def test_a_server_without_ranges_starts_anew(part, publisher, tmp_path):
    served, entry = part
    served.ranges = False
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT


def test_an_unknown_length_is_no_obstacle(offered, tmp_path):
    _, entry = offered(length=False, stated=sha256(CONTENT))
    (said,) = fetch(entry, tmp_path)
    assert "of unknown size" in said
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("spoilt", [bytes(HALF), bytes(2 * len(CONTENT))], ids=["half", "long"])
def test_a_part_spoilt_on_disk_is_fetched_anew(spoilt, part, publisher, tmp_path):
    _, entry = part
    (path,) = tmp_path.rglob("*.part")
    path.write_bytes(spoilt)
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    assert publisher.read[-1].range is None


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


def test_a_wrong_size_is_refused_before_it_is_fetched(offered, publisher, tmp_path):
    _, entry = offered(size=len(CONTENT) + 1)
    with pytest.raises(InputError, match=r"1500000 bytes, and tests/a\.bin 1500001"):
        fetch(entry, tmp_path)
    assert publisher.read == []
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


@pytest.mark.usefixtures("no_locks")
def test_a_folder_without_locks_is_named_before_the_download(offered, publisher, tmp_path):
    _, entry = offered()
    with pytest.raises(InputError, match=rf"{tmp_path}/tests lies on .* without locks.*--weights"):
        fetch(entry, tmp_path)
    assert placed(tmp_path) == ["tests/.a.bin.lock"]


def test_a_full_disk_is_seen_before_the_download(offered, publisher, tmp_path, monkeypatch):
    _, entry = offered()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(InputError, match=r"needs 1500000 bytes more, and the disk of .* 1000000"):
        fetch(entry, tmp_path)
    assert publisher.read == []


def test_a_missing_file_says_so(offered, publisher, tmp_path):
    _, entry = offered()
    publisher.files.clear()
    with pytest.raises(InputError, match=r"tests/a.bin: http://.*/a.bin answers 404 \(there is no"):
        fetch(entry, tmp_path)
    assert placed(tmp_path) == []


def test_a_busy_server_is_asked_again(offered, tmp_path):
    _, entry = offered(statuses=[503, 429])
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"


@pytest.mark.parametrize(
    ("content", "is_hub", "message"),
    [
        (POINTER, True, "git-lfs pointer"),
        (b"\n<!DOCTYPE html><title>log in</title>", True, "web page"),
        (b"welcome", False, "web page"),
        (b"", True, "empty"),
    ],
)
def test_what_is_no_weights_is_never_placed(content, is_hub, message, offered, tmp_path):
    _, entry = offered(content, is_hub=is_hub)
    with pytest.raises(InputError, match=message):
        fetch(entry, tmp_path)
    assert placed(tmp_path) == []


def test_without_a_network_one_message_says_everything(
    make_entry, online, nowhere, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_ENDPOINT", nowhere)
    entry = make_entry("tests/a.bin", Hub("owner/name", "main", "unet/a.bin"))
    with pytest.raises(InputError) as error:
        fetch(entry, tmp_path)
    message = str(error.value)
    assert "\n" not in message
    for part in (
        "tests/a.bin (made by a test)",
        f"{nowhere}{PATH}",
        "cannot be reached",
        f"`idol-prep weights fetch tests --weights {tmp_path}`",
        f"copy {tmp_path}",
        f"at {tmp_path}/tests/a.bin",
    ):
        assert part in message
    assert placed(tmp_path) == []


def test_the_library_s_offline_mode_is_one_line(offered, publisher, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"cannot be reached: .*HF_HUB_OFFLINE"):
        fetch(offered()[1], tmp_path)
    assert publisher.asked == []


@pytest.fixture
def moved(offered, publisher, monkeypatch):
    """A hub that hands its file on to another host name, as real ones do: the file, the entry."""
    monkeypatch.setenv("HF_TOKEN", "secret")
    served, entry = offered()
    served.moved_to = f"http://localhost:{publisher.port}/cdn/a.bin?signed=1"
    publisher.files["/cdn/a.bin?signed=1"] = Served(CONTENT, is_hub=False)
    return publisher.files["/cdn/a.bin?signed=1"], entry


def test_the_token_goes_to_the_hub_alone(moved, publisher, tmp_path):
    fetch(moved[1], tmp_path)
    assert [(asked.method, asked.host, asked.authorization) for asked in publisher.asked] == [
        ("HEAD", f"127.0.0.1:{publisher.port}", "Bearer secret"),
        ("GET", f"localhost:{publisher.port}", None),
    ]


def test_what_is_not_what_the_hub_announced_is_refused(moved, tmp_path):
    served, entry = moved
    served.content = OTHER
    with pytest.raises(InputError, match="damaged on its way"):
        fetch(entry, tmp_path)
    assert placed(tmp_path) == []


def test_a_resumed_download_asks_the_hub_again(moved, publisher, tmp_path):
    """Addresses of content networks expire."""
    served, entry = moved
    served.drops += [HALF, *GIVEN_UP]
    with pytest.raises(InputError):
        fetch(entry, tmp_path)
    publisher.asked.clear()
    fetch(entry, tmp_path)
    assert (tmp_path / "tests/a.bin").read_bytes() == CONTENT
    assert [(asked.method, asked.range) for asked in publisher.asked] == [
        ("HEAD", None),
        ("GET", "bytes=700000-"),
    ]


def test_a_closed_door_names_the_token(offered, tmp_path):
    _, entry = offered(statuses=[401])
    with pytest.raises(InputError, match=r"\(401\).*HF_TOKEN"):
        fetch(entry, tmp_path)
