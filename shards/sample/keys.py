"""Sample keys: `{dataset}-{video}-{first frame}`, safe as a tar member's name."""

import hashlib
import re
from urllib.parse import quote, unquote

__all__ = ["check_key", "make_key", "parse_key"]

_KEY = re.compile(r"[A-Za-z0-9_%~-]+")
# A member's name, its suffix and the temporary's around it must fit in a file name of 255 bytes.
_DATASET, _VIDEO = 32, 100
_DIGEST = 12


def make_key(dataset: str, video: str, first_frame: int) -> str:
    """The key of the clip of `video` that starts at frame `first_frame` (0 and up).

    Ids may be any text: everything but ASCII letters, digits, `_` and `-` becomes `%XX` of its
    UTF-8 bytes, as in URLs, and so do dots (WebDataset splits names at the first one). A video's
    id that is then longer than 100 characters (a dataset's: 32) is cut, and ends in `~` and 12
    hexadecimal digits of the SHA-256 of all of it; `~` means nothing else.
    Distinct triples give distinct keys and `parse_key` undoes it, but for what was cut.
    """
    if first_frame < 0:
        raise ValueError(f"{dataset}/{video}: first frame {first_frame} is negative")
    # A dash in the dataset's name would make its end ambiguous; the other dashes cannot.
    name = _cut(_escape(dataset).replace("-", "%2D"), _DATASET)
    return f"{name}-{_cut(_escape(video), _VIDEO)}-{first_frame:d}"


def parse_key(key: str) -> tuple[str, str, int]:
    """`(dataset, video, first frame)` of a key. Raises ValueError if it is not of that form.

    An id that was cut (it has a `~`) comes as it stands in the key; the sample's json has it whole.
    """
    match = re.fullmatch(r"([^-]*)-(.*)-([0-9]+)", check_key(key))
    if match is None:
        raise ValueError(f"key {key!r} is not of the form dataset-video-frame")
    dataset, video, first_frame = match.groups()
    return _unescape(dataset), _unescape(video), int(first_frame)


def check_key(key: str) -> str:
    """The key itself. Raises ValueError if it could not be a plain file name without dots."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"key {key!r} may hold only letters, digits and _ % ~ - (see make_key)")
    return key


def _escape(text: str) -> str:
    # File names that are not UTF-8 arrive with lone surrogates: `surrogatepass` keeps them apart.
    quoted = quote(text, safe="", errors="surrogatepass")
    return quoted.replace(".", "%2E").replace("~", "%7E")


def _cut(escaped: str, limit: int) -> str:
    if len(escaped) <= limit:
        return escaped
    digest = hashlib.sha256(escaped.encode("ascii")).hexdigest()[:_DIGEST]
    return f"{escaped[: limit - _DIGEST - 1]}~{digest}"


def _unescape(text: str) -> str:
    return text if "~" in text else unquote(text, errors="surrogatepass")
