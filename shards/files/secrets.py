"""Keys and passwords stay out of what is printed and written, and out of URLs."""

import os
import re

__all__ = ["has_secret", "redact"]

# What the environment's names for secrets end in; shorter values would be found everywhere.
_NAMES = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_SHORTEST = 8
_USER = re.compile(r"(?<=://)[^/\s@]*:[^/\s]*@")
_QUERY = re.compile(
    r"(?<=[?&])((?:x-(?:amz|goog)-[\w-]+|awsaccesskeyid|signature|sig|token|access_token|key|"
    r"api_?key|password|secret)=)[^&\s'\"]+",
    re.IGNORECASE,
)
_HIDDEN = "***"


def redact(text: str) -> str:
    """The text without passwords and signatures of URLs, and without the values of the
    environment's variables that are named as secrets."""
    text = _QUERY.sub(rf"\1{_HIDDEN}", _USER.sub(f"{_HIDDEN}@", text))
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _NAMES.search(name) and value in text:
            text = text.replace(value, _HIDDEN)
    return text


def has_secret(url: str) -> bool:
    """Whether a URL names a password, or is signed."""
    return bool(_USER.search(url) or _QUERY.search(url))
