"""One request over HTTP: redirects are followed, and a token goes to nobody but its owner."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import cast
from urllib.error import URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPErrorProcessor, Request, build_opener

__all__ = ["Answer", "Dropped", "Unreachable", "opened"]

TIMEOUT = 30.0  # seconds without a byte
_MAX_REDIRECTS = 10
_OURS = {"Accept-Encoding": "identity", "User-Agent": "idol-prep"}
_REDIRECTS = (301, 302, 303, 307, 308)
_SHA256 = re.compile(r'^"?([0-9a-f]{64})"?$')


class Unreachable(Exception):
    """No connection could be made: trying again at once is no use."""


class Dropped(Exception):
    """A connection, or a busy server, failed: trying again may help, after `wait` seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True, eq=False)
class Answer:
    """What the last server of a chain of redirects answered.

    `revision` and `sha256` are what the hub says on the way about the file it redirects to.
    """

    response: HTTPResponse
    revision: str | None
    sha256: str | None

    @property
    def status(self) -> int:
        return self.response.status

    def header(self, name: str) -> str | None:
        return self.response.headers.get(name)


class _AsTheyAre(HTTPErrorProcessor):
    """Hands every answer on: urllib's own redirects would send our headers to any host."""

    def _same(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        return response

    http_response = https_response = _same


@contextmanager
def opened(url: str, headers: Mapping[str, str], token: str | None = None) -> Iterator[Answer]:
    """Ask for `url`; the answer's body is read inside the context.

    `token` goes to the scheme, host and port of `url` alone. Raises Unreachable or Dropped.
    """
    owner = _origin(url)
    opener = build_opener(_AsTheyAre)
    revision = sha256 = None
    for _ in range(_MAX_REDIRECTS):
        request = Request(url, headers={**_OURS, **headers})
        if token and _origin(url) == owner:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            response = cast(HTTPResponse, opener.open(request, timeout=TIMEOUT))
        except (OSError, HTTPException) as error:
            raise _failed(error) from error
        with response:
            revision = response.headers.get("X-Repo-Commit") or revision
            linked = _SHA256.match(response.headers.get("X-Linked-Etag") or "")
            sha256 = linked.group(1) if linked else sha256
            if response.status not in _REDIRECTS:
                yield Answer(response, revision, sha256)
                return
            url = _next(url, response.headers.get("Location"))
    raise Unreachable(f"more than {_MAX_REDIRECTS} redirects")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _next(url: str, location: str | None) -> str:
    target = urljoin(url, location or "")
    came, goes = urlsplit(url).scheme, urlsplit(target).scheme
    if not location or goes not in ("http", "https") or (came == "https" and goes == "http"):
        raise Unreachable(f"{urlsplit(url).netloc} redirects to {location or 'nowhere'}")
    return target


def _failed(error: Exception) -> Unreachable | Dropped:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ConnectionResetError | ConnectionAbortedError | HTTPException):
        return Dropped(str(reason) or type(reason).__name__)
    return Unreachable(str(reason) or type(reason).__name__)
