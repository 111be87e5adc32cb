from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from s3fs.errors import translate_boto_error

from shards.errors import StorageError
from shards.files import leases, s3
from shards.files.leases import Lease, leased
from shards.files.locks import LOCK, Taken
from shards.files.secrets import redact
from shards.files.storage import Store
from tests.s3 import ACCESS, SECRET, bucket, s3_server  # noqa: F401

PART = 5 << 20  # the least that S3 takes


def uploads(store: Store) -> list[str]:
    name = store.root.partition("/")[0]
    found = store.fs.call_s3("list_multipart_uploads", Bucket=name).get("Uploads") or []
    return [upload["Key"] for upload in found]


def test_what_is_large_goes_in_parts_and_comes_back(
    bucket: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", PART)
    store = Store.at(f"{bucket}/out")
    data = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range((3 * PART + 1000) // 32))
    store.write_bytes("a.tar", data)
    assert store.fs.info(f"{store.root}/a.tar")["ETag"].strip('"').endswith("-4")  # four parts
    assert store.read("a.tar") == data
    assert store.read("a.tar", PART - 5, PART + 5) == data[PART - 5 : PART + 5]
    assert store.list() == {"a.tar": False}
    assert not uploads(store)


@pytest.mark.parametrize("failure", [OSError("the network is gone"), KeyboardInterrupt()])
def test_an_upload_that_fails_leaves_nothing(
    bucket: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", PART)
    store = Store.at(f"{bucket}/out")
    real = type(store.fs).call_s3

    def fails_at_the_third(fs: object, method: str, **options: object) -> object:
        if method == "upload_part" and options["PartNumber"] == 3:
            raise failure
        return real(fs, method, **options)

    monkeypatch.setattr(type(store.fs), "call_s3", fails_at_the_third)
    expected = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else StorageError
    with pytest.raises(expected):
        store.write_bytes("a.tar", bytes(4 * PART))
    assert not uploads(store)
    assert store.list() == {}


def test_uploads_of_killed_writers_are_aborted_in_their_folder_alone(bucket: str) -> None:  # noqa: F811
    store = Store.at(f"{bucket}/out")
    name = bucket.removeprefix("s3://")
    for key in ("out/train/a.tar", "out/train/deeper/b.tar", "outside/c.tar"):
        store.fs.call_s3("create_multipart_upload", Bucket=name, Key=key)
    store.sweep("train")
    assert sorted(uploads(store)) == ["out/train/deeper/b.tar", "outside/c.tar"]


def test_a_bucket_that_is_not_there_is_named(s3_server: str) -> None:  # noqa: F811
    with pytest.raises(StorageError, match=r"^cannot write s3://no-such-bucket/x/a: .*not exist"):
        Store.at("s3://no-such-bucket/x").write_bytes("a", b"")


@pytest.mark.parametrize("kind", ["s3", "memory"])
def test_two_cannot_hold_a_lease(request: pytest.FixtureRequest, kind: str) -> None:
    name = "bucket" if kind == "s3" else "memory_url"
    store = Store.at(f"{request.getfixturevalue(name)}/out")
    with leased(store, renew_seconds=0.2) as lease:
        with pytest.raises(Taken, match=r"\.lock \(process \d+ on "), leased(store):
            pass
        lease.check()
        assert store.list() == {}  # nobody takes it for a part of the dataset
    with leased(store):
        pass
    assert store.size(LOCK) is None


def test_a_lease_lapses_and_its_late_holder_stops(bucket: str) -> None:  # noqa: F811
    store = Store.at(f"{bucket}/out")
    began = time.monotonic()
    with leased(store, renew_seconds=300) as slept:
        with leased(store, renew_seconds=300, lapse_seconds=1.5) as lease:
            assert time.monotonic() - began > 1.4
            lease.check()
            slept._renew()  # when it wakes up
            with pytest.raises(StorageError, match="was taken over by another"):
                slept.check()
        assert store.size(LOCK) is None  # its own is removed, and only that


def test_of_many_that_come_at_once_one_gets_the_lease(bucket: str) -> None:  # noqa: F811
    store = Store.at(f"{bucket}/out")
    inside, most, won = [0], [0], [0]
    lock = threading.Lock()

    def build() -> None:
        try:
            with leased(store, renew_seconds=0.1, lapse_seconds=20):
                with lock:
                    inside[0] += 1
                    won[0] += 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.5)
                with lock:
                    inside[0] -= 1
        except Taken:
            pass

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert won[0] >= 1


def test_what_a_killed_process_of_this_machine_held_is_free_at_once(
    bucket: str,  # noqa: F811
    s3_server: str,  # noqa: F811
) -> None:
    code = (
        "import os, sys; from shards.files.leases import leased;"
        "from shards.files.storage import Store\n"
        "with leased(Store.at(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code, f"{bucket}/out"])
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # a zombie, which holds nothing
    store = Store.at(f"{bucket}/out")
    assert store.size(LOCK)
    began = time.monotonic()
    with leased(store):
        assert time.monotonic() - began < leases._LAPSE_SECONDS / 2
    assert killed.wait(60) == -9


def test_a_lease_that_cannot_be_renewed_runs_out(
    memory_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.at(memory_url)
    now = time.monotonic
    with leased(store, renew_seconds=0.05) as lease:

        def unreachable(*_: object) -> None:
            raise StorageError("no network")

        monkeypatch.setattr(leases._Slot, "put", unreachable)
        lease.check()
        monkeypatch.setattr(time, "monotonic", lambda: now() + leases._LAPSE_SECONDS)
        with pytest.raises(StorageError, match=r"could not be renewed for 45 s"):
            lease.check()


@pytest.mark.parametrize("kind", ["s3", "another"])
def test_a_write_whose_answer_was_lost_is_the_holders_own(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The client tries such a write again, and is refused by what it wrote itself."""
    name = "bucket" if kind == "s3" else "memory_url"
    store = Store.at(f"{request.getfixturevalue(name)}/out")
    put = leases._Slot.put

    def again(*arguments: Any) -> str | None:
        put(*arguments)
        return put(*arguments)

    monkeypatch.setattr(leases._Slot, "put", again)
    with leased(store, renew_seconds=300) as lease:
        for _ in range(2):
            lease._renew()
            lease.check()
    assert store.size(LOCK) is None


def test_a_renewal_that_failed_and_was_written_is_no_other_build(
    bucket: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store.at(f"{bucket}/out")
    put = leases._Slot.put

    def cut(*arguments: Any) -> None:
        put(*arguments)
        raise StorageError("the connection was cut")

    def fail_to_renew(lease: Lease) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(leases._Slot, "put", cut)
            lease._renew()

    with leased(store, renew_seconds=300) as lease:
        began = lease._renewed
        fail_to_renew(lease)
        assert lease._renewed == began
        lease._renew()
        lease.check()
        assert lease._renewed > began
        fail_to_renew(lease)
    assert store.size(LOCK) is None  # nobody waits until it lapses


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "409"])
def test_a_write_that_meets_another_is_tried_again(
    bucket: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    code: str,
) -> None:
    fs = Store.at(bucket).fs
    path = f"{bucket.removeprefix('s3://')}/{LOCK}"
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    call, conflicts = type(fs).call_s3, 2

    def meets_others(fs: Any, method: str, **options: Any) -> Any:
        if len(waited) < conflicts:
            raise translate_boto_error(ClientError({"Error": {"Code": code}}, method))
        return call(fs, method, **options)

    monkeypatch.setattr(type(fs), "call_s3", meets_others)
    etag = s3.put_if(fs, path, b"one", None)
    assert etag
    assert len(waited) == conflicts
    assert s3.put_if(fs, path, b"two", None) is None  # one is there
    conflicts = 1000
    with pytest.raises(OSError, match=code):
        s3.put_if(fs, path, b"two", etag)
    found = s3.read_object(fs, path)
    assert found is not None
    assert found.data == b"one"


def test_no_secret_is_told(
    bucket: str,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "shards")
    store = Store.at(f"{bucket}/out")
    with leased(store):
        written = store.read(LOCK).decode()
    with pytest.raises(StorageError) as refused, store.translated("read", "x"):
        raise OSError(
            f"{SECRET} was refused at https://me:hunter2hunter2@host/a?X-Amz-Signature=ab"
        )
    told = str(refused.value)
    assert told.endswith("*** was refused at https://***@host/a?X-Amz-Signature=***")
    for text in (told, written, caplog.text):
        assert SECRET not in text
        assert ACCESS not in text


@pytest.mark.parametrize(
    "url",
    ["s3://key:secret@bucket/out", "https://host/data?X-Amz-Signature=abc", "ftp://me:pw@host/x"],
)
def test_a_url_with_a_password_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StorageError, match="holds a password or a signature") as refused:
        Store.at(url)
    assert not any(word in str(refused.value) for word in ("secret@", "abc", "pw"))


def test_short_values_are_not_hidden_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "a")
    assert redact("a banana at s3://bucket/a") == "a banana at s3://bucket/a"


def test_a_file_of_the_disk_is_not_looked_up_in_the_store(tmp_path: Path) -> None:
    assert Store.at(tmp_path / "a?token=b").is_local
