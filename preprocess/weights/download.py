"""Bringing one address into one file, going on where an earlier try ended."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from preprocess.errors import InputError
from preprocess.external_file import ExternalFile, Hub
from preprocess.weights.advice import offline
from preprocess.weights.reporter import Reporter
from preprocess.weights.transport import Answer, Dropped, Unreachable, opened

__all__ = ["Download", "Notes"]

# Seconds to wait after the first, second, ... failure in a row that brought no byte.
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)
_CHUNK = 1 << 18
_MAX_WAIT = 60.0
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_STARTS_AT = re.compile(r"^bytes (\d+)-")


@dataclass(frozen=True)
class Notes:
    """What is known of a file of which a part is here; kept beside it.

    `validator` is the server's ETag or date: a part is continued only while it stays the same.
    """

    url: str
    validator: str | None = None
    size: int | None = None
    revision: str | None = None
    sha256: str | None = None


class Download:
    """One file on its way: `url` into `part`, which the caller has opened and holds alone.

    `part` is empty or what an earlier download left there; `notes_path` lies beside it.
    """

    def __init__(
        self,
        entry: ExternalFile,
        root: Path,
        url: str,
        token: str | None,
        part: BinaryIO,
        notes_path: Path,
        reporter: Reporter,
    ) -> None:
        self._entry, self._root, self._url, self._token = entry, root, url, token
        self._part, self._notes_path, self._reporter = part, notes_path, reporter
        self.resumed = False  # whether bytes of an earlier run were kept

    def run(self) -> Notes:
        """Fetch what is missing; connections that fail are tried again, without end while each
        brings something.

        Raises InputError when the address cannot be reached, does not serve the file, keeps
        failing, or the disk is too small. What is here is kept.
        """
        self.resumed = self._here() > 0
        failures, answered = 0, False
        while True:
            before = self._here()
            try:
                return self._go_on()
            except (Dropped, Unreachable) as error:
                if isinstance(error, Unreachable) and not answered:
                    raise self._unreachable(error) from error
                reason, wait = str(error), getattr(error, "wait", None)
            answered = True
            failures = 0 if self._here() > before else failures + 1
            if failures > len(WAITS):
                raise InputError(
                    f"{self._entry.name}: the connection failed {failures} times in a row "
                    f"({reason}). What is here is kept; the same command goes on from there."
                )
            wait = min(wait if wait is not None else WAITS[max(failures - 1, 0)], _MAX_WAIT)
            self._reporter.interrupted(self._entry, reason, wait)
            time.sleep(wait)

    def clear(self) -> None:
        """Drop what is here."""
        self._part.seek(0)
        self._part.truncate()
        self._notes_path.unlink(missing_ok=True)
        self.resumed = False

    def _here(self) -> int:
        return self._part.seek(0, 2)

    def _go_on(self) -> Notes:
        notes, here = _read(self._notes_path), self._here()
        if here and (notes is None or notes.url != self._url or not notes.validator):
            self.clear()
            notes, here = None, 0
        headers = {}
        if notes and here:
            if here == notes.size:
                return notes
            headers = {"Range": f"bytes={here}-", "If-Range": str(notes.validator)}
        with opened(self._url, headers, self._token) as answer:
            if answer.status in (206, 416) and not (notes and _continues(answer, notes, here)):
                self.clear()
                raise Dropped("the file has changed there: starting anew", wait=0)
            self._refuse_others(answer)
            if answer.status == 200:
                self.clear()
                notes, here = self._first_notes(answer), 0
                self._notes_path.write_text(json.dumps(asdict(notes)), encoding="utf-8")
            assert notes is not None
            self._check_room(notes.size, here)
            self._reporter.started(self._entry, here, notes.size)
            self._receive(answer)
        if notes.size is not None and self._here() < notes.size:
            raise Dropped("the connection ended early")
        return notes

    def _receive(self, answer: Answer) -> None:
        self._part.seek(0, 2)
        while True:
            try:
                chunk = answer.response.read1(_CHUNK)
            except (OSError, HTTPException) as error:
                raise Dropped(str(error) or type(error).__name__) from error
            if not chunk:
                return
            self._part.write(chunk)
            # Whatever kills us, what has come is not asked for again.
            self._part.flush()
            self._reporter.advanced(self._entry, len(chunk))

    def _first_notes(self, answer: Answer) -> Notes:
        length = answer.header("Content-Length")
        size = int(length) if length is not None else None
        if size is not None and self._entry.bytes not in (None, size):
            raise InputError(
                f"{self._url} is another file now: it has {size} bytes, and {self._entry.name} "
                f"{self._entry.bytes}. Nothing of it was used."
            )
        return Notes(self._url, _validator(answer), size, answer.revision, answer.sha256)

    def _refuse_others(self, answer: Answer) -> None:
        status, name = answer.status, self._entry.name
        if status in _BUSY:
            wait = answer.header("Retry-After") or ""
            raise Dropped(f"the server answers {status}", float(wait) if wait.isdigit() else None)
        if status in (401, 403):
            advice = ""
            if isinstance(self._entry.source, Hub):
                advice = (
                    ". Agree to the terms on its page if it has some, and set HF_TOKEN to a token "
                    "of yours"
                )
            raise InputError(f"{name}: {self._url} does not let you in ({status}){advice}.")
        if status not in (200, 206):
            meaning = " (there is no such file)" if status in (404, 410) else ""
            raise InputError(f"{name}: {self._url} answers {status}{meaning}.")
        if (answer.header("Content-Type") or "").startswith("text/html"):
            raise InputError(
                f"{name}: {self._url} answers with a web page, not with the file (does this "
                f"network ask you to log in?)"
            )

    def _check_room(self, size: int | None, here: int) -> None:
        free = shutil.disk_usage(self._notes_path.parent).free
        if size is not None and size - here > free:
            raise InputError(
                f"{self._entry.name} needs {size - here} bytes more, and the disk of "
                f"{self._root} has {free} free. Make room, or choose another folder by "
                f"--weights or IDOL_WEIGHTS."
            )

    def _unreachable(self, error: Unreachable) -> InputError:
        return InputError(
            f"{self._entry.name} ({self._entry.what}) cannot be fetched, because {self._url} "
            f"cannot be reached: {error}. {offline(self._entry, self._root)}"
        )


def _read(path: Path) -> Notes | None:
    try:
        return Notes(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _validator(answer: Answer) -> str | None:
    etag = answer.header("ETag")
    # Weak ones promise the same meaning, not the same bytes.
    if etag and not etag.startswith("W/"):
        return etag
    return answer.header("Last-Modified")


def _continues(answer: Answer, notes: Notes, here: int) -> bool:
    starts = _STARTS_AT.match(answer.header("Content-Range") or "")
    same = _validator(answer) in (None, notes.validator) and answer.sha256 == notes.sha256
    return answer.status == 206 and starts is not None and int(starts.group(1)) == here and same
