"""`flaky://PATH`: a folder behind a share that returns errors.

IDOL_FAULT_STORE=SEED:SHARE says how many of its requests do. Importing this registers it.
"""

from __future__ import annotations

import errno
import os
import random
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

__all__ = ["FlakyStore"]


class FlakyStore(LocalFileSystem):
    """Its requests fail by chance."""

    protocol = "flaky"
    _requests = random.Random()
    _share = 0.0

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        plain = "/" + path.removeprefix("flaky://").lstrip("/") if isinstance(path, str) else path
        return LocalFileSystem._strip_protocol(plain)

    def unstrip_protocol(self, name: str) -> str:
        return f"flaky://{name}"

    def _maybe_fail(self) -> None:
        if self._requests.random() < self._share:
            raise OSError(errno.EIO, "the share does not answer")

    def info(self, path: str, **more: Any) -> Any:
        self._maybe_fail()
        return super().info(self._strip_protocol(path), **more)

    def ls(self, path: str, detail: bool = False, **more: Any) -> Any:
        self._maybe_fail()
        return super().ls(self._strip_protocol(path), detail=detail, **more)

    def cat_file(self, path: str, start: Any = None, end: Any = None, **more: Any) -> Any:
        self._maybe_fail()
        return super().cat_file(self._strip_protocol(path), start=start, end=end, **more)

    def put_file(self, lpath: str, rpath: str, *more: Any, **options: Any) -> Any:
        self._maybe_fail()
        rpath = self._strip_protocol(rpath)
        os.makedirs(os.path.dirname(rpath), exist_ok=True)
        return super().put_file(lpath, rpath, *more, **options)


fsspec.register_implementation("flaky", FlakyStore, clobber=True)

if seed_and_share := os.environ.get("IDOL_FAULT_STORE"):
    seed, _, share = seed_and_share.partition(":")
    FlakyStore._requests = random.Random(f"{seed}/{os.getpid()}")
    FlakyStore._share = float(share)
