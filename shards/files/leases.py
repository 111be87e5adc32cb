"""One writer at a time in an object store, which has no locks: a lease that must be renewed.

The lease is a small object beside what is written. It is made only where there is none
(`If-None-Match`), renewed and removed only by who holds it (`If-Match`), and lapses when it is not
renewed: who dies does not keep others out for long. No two clocks are compared: the store says how
old the object is, or who waits watches it for as long.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shards.errors import StorageError
from shards.files.digest import canonical_json
from shards.files.locks import LOCK, Taken, process_start
from shards.files.s3 import is_s3, put_if, read_object
from shards.files.storage import Store

__all__ = ["Lease", "leased"]

_RENEW_SECONDS = 10.0
_LAPSE_SECONDS = 45.0
_POLL_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Lease:
    """A lease that is held; `check` says whether it still is."""

    def __init__(self, slot: _Slot, holder: dict[str, Any], version: str, lapse: float) -> None:
        self._slot, self._holder, self._version, self._lapse = slot, holder, version, lapse
        self._renewals = 0
        self._renewed = time.monotonic()
        self._lost = ""

    def check(self) -> None:
        """Raises StorageError when another writer has taken over, or may have.

        To be called before each step of the work: a process that slept too long must not go on.
        """
        if not self._lost and time.monotonic() - self._renewed > self._lapse:
            self._lost = f"could not be renewed for {self._lapse:.0f} s"
        if self._lost:
            raise StorageError(
                f"{self._slot.url}: the lease on this folder {self._lost}, and another build may "
                "be writing there: run the same command to resume once that has ended"
            )

    def _renew(self) -> None:
        began = time.monotonic()
        # What is the same bytes would be the same version, and no sign of life.
        self._renewals += 1
        data = canonical_json({**self._holder, "renewals": self._renewals})
        try:
            version = self._put(data)
        except (OSError, StorageError) as error:
            _log.debug("%s: not renewed: %s", self._slot.url, error)
            return  # again in a while; `check` knows how long that may go on
        if version is None:
            self._lost = "was taken over by another"
        else:
            self._version, self._renewed = version, began

    def _put(self, data: bytes | None) -> str | None:
        """`_Slot.put`; a write of ours that was made, though its answer was lost, is no other's."""
        version = self._slot.put(data, self._version)
        if version is not None:
            return version
        ours = self._slot.look_for(self._holder)
        if ours is None:
            return None
        return ours.version if ours.data == data else self._slot.put(data, ours.version)

    def _keep(self, stop: threading.Event, every: float) -> None:
        while not stop.wait(every) and not self._lost:
            self._renew()

    def _release(self) -> None:
        if not self._lost:
            try:
                self._put(None)
            except (OSError, StorageError) as error:
                _log.debug("%s: not released, and lapses: %s", self._slot.url, error)


@contextmanager
def leased(
    store: Store,
    name: str = LOCK,
    *,
    renew_seconds: float = _RENEW_SECONDS,
    lapse_seconds: float = _LAPSE_SECONDS,
) -> Iterator[Lease]:
    """Hold the lease `name` of a store; a thread renews it meanwhile.

    Where another holds it, waits until that one shows a sign of life, or its lease has lapsed. One
    of a process of this machine that is gone is taken over at once. On S3 all of it is atomic;
    fsspec's other stores make the object atomically where they can, and then compare before they
    write.

    Raises:
        Taken: another holds it, and is alive; the message says who.
        StorageError: the store cannot be written to.
    """
    slot = _Slot(store, name)
    holder = {**_who_am_i(), "began": round(time.time()), "id": secrets.token_hex(8)}
    version = _acquire(slot, holder, lapse_seconds)
    lease = Lease(slot, holder, version, lapse_seconds)
    stop = threading.Event()
    thread = threading.Thread(
        target=lease._keep, args=(stop, renew_seconds), daemon=True, name="lease"
    )
    thread.start()
    try:
        yield lease
    finally:
        stop.set()
        thread.join()
        lease._release()


def _acquire(slot: _Slot, holder: dict[str, Any], lapse: float) -> str:
    data = canonical_json(holder)
    first: _Seen | None = None
    since = time.monotonic()
    while True:
        seen = slot.look()
        if seen is None:
            version = slot.put(data, None)
        elif first is not None and seen.version != first.version:
            raise Taken(f"{slot.url} ({_in_words(seen.data)})")
        elif (
            seen.age > lapse
            or (first is not None and time.monotonic() - since > lapse)
            or _is_dead(_parsed(seen.data))
        ):
            version = slot.put(data, seen.version)
        else:
            if first is None:
                first, since = seen, time.monotonic()
                _log.warning(
                    "%s: another build was at work here (%s): waiting up to %.0f s for a sign of "
                    "life before this one resumes its work",
                    *(slot.url, _in_words(seen.data), max(lapse - seen.age, 0)),
                )
            time.sleep(min(_POLL_SECONDS, lapse / 8))
            continue
        if version is not None:
            return version
        if (ours := slot.look_for(holder)) is not None:  # written, and its answer was lost
            return ours.version
        first = None  # another was faster: see who


@dataclass(frozen=True)
class _Seen:
    data: bytes
    version: str
    age: float  # seconds; 0 where the store does not say


@dataclass(frozen=True)
class _Slot:
    """The object that stands for a lease."""

    store: Store
    name: str

    @property
    def url(self) -> str:
        return self.store.url(self.name)

    @property
    def _path(self) -> str:
        return f"{self.store.root}/{self.name}"

    def look(self) -> _Seen | None:
        if is_s3(self.store.fs):
            with self.store.translated("read", self.name):
                found = read_object(self.store.fs, self._path)
            return _Seen(found.data, found.etag, found.age_seconds) if found else None
        data = self.store.read_if_there(self.name)
        return None if data is None else _Seen(data, data.hex(), 0.0)

    def look_for(self, holder: dict[str, Any]) -> _Seen | None:
        """What is there, if this holder wrote it."""
        seen = self.look()
        return seen if seen is not None and _parsed(seen.data).get("id") == holder["id"] else None

    def put(self, data: bytes | None, version: str | None) -> str | None:
        """Write it, or remove it for no data, if it has this version (None: is not there); the new
        version, None where another is there."""
        fs = self.store.fs
        with self.store.translated("write", self.name):
            if is_s3(fs):
                return put_if(fs, self._path, data, version)
            if version is None and data is not None:
                return _create(fs, self._path, data)
        seen = self.look()
        if (seen and seen.version) != version:
            return None
        if data is None:
            self.store.remove(self.name)
            return ""
        self.store.write_bytes(self.name, data)
        return data.hex()


def _create(fs: Any, path: str, data: bytes) -> str | None:
    try:
        fs.pipe_file(path, data, mode="create")
    except FileExistsError:
        return None
    except (TypeError, ValueError, NotImplementedError):
        fs.pipe_file(path, data)
    return data.hex()


def _who_am_i() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": pid,
        "process": process_start(pid),
    }


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    machine, pid, process = (holder.get(name) for name in ("machine", "pid", "process"))
    if not machine or machine != _machine() or not isinstance(pid, int) or not process:
        return False
    return process_start(pid) != process


def _machine() -> str:
    """The running system and its numbering of processes; "" where it does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _in_words(data: bytes) -> str:
    holder = _parsed(data)
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
