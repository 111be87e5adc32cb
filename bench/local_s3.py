"""An S3 server on the loopback (moto's), and the requests that it is asked."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec

__all__ = ["local_s3"]


@contextmanager
def local_s3() -> Iterator[tuple[Any, Counter[str]]]:
    """fsspec's view of a server of this process's own, without buckets, and its requests by what
    they ask for: GET, HEAD, PUT, POST, LIST or DELETE. The environment points others to it."""
    from moto.server import ThreadedMotoServer

    counted: Counter[str] = Counter()

    class Count(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if match := re.search(r'"(?:\x1b\[[0-9;]*m)*([A-Z]+) (\S+)', record.getMessage()):
                counted[_kind(*match.groups())] += 1

    logger = logging.getLogger("werkzeug")
    logger.handlers, logger.propagate = [Count()], False
    logger.setLevel(logging.INFO)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        yield fsspec.filesystem("s3", use_listings_cache=False), counted
    finally:
        server.stop()


def _kind(method: str, path: str) -> str:
    if method == "GET" and ("list-type=" in path or "uploads" in path):
        return "LIST"
    return "DELETE" if method == "POST" and "delete" in path else method
