"""One HTML file that needs nothing else: styles, modules and data are in it, escaped.

    page(
        "A gallery",
        body='<main id="main"></main>',
        styles=[asset("shards.inspect.pages", "kit.css")],
        scripts=[asset("shards.inspect.pages", "kit.js"), asset(__package__, "gallery.js")],
        data={"clips": clips},
    )

Scripts are ES modules as the browser knows them, so that an editor and a linter understand them.
`file://` cannot import modules, so they are joined in the order given: their imports of one another
and the word `export` are taken out, and they share one scope. Scripts read `data` through
`data("clips")` of kit.js.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

__all__ = ["Page", "asset", "data_url", "json_block", "page"]

# Nothing is loaded from elsewhere; pictures and films may be in the file, as data.
_POLICY = {
    "default-src": "'none'",
    "img-src": "data: blob:",
    "media-src": "data: blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
}
# `import { a, b } from "./kit.js";`, which may go over lines; nothing else is taken out.
_IMPORT = re.compile(r'^import\s*\{[^}]*\}\s*from\s*"\./[\w.-]+";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|let|class)\b)", re.MULTILINE)
# An empty icon, so that no browser asks for /favicon.ico.
_ICON = "data:,"


@dataclass(frozen=True)
class Page:
    """`html`, the file, and `policy`, the content-security policy that it states itself.

    A server sends the policy too, with `frame-ancestors`, which a file cannot state.
    """

    html: str
    policy: str


def asset(package: str, name: str) -> str:
    """The text of a file that comes with a package."""
    return files(package).joinpath(name).read_text("utf-8")


def data_url(data: bytes, kind: str) -> str:
    """Bytes of a media type, such as `image/webp`, as an address that needs no request."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def json_block(name: str, value: Any) -> str:
    """A value as an inert block of the page, that kit.js reads by `data(name)`.

    Only what a script element could not hold is escaped: whatever the texts in it are, none of
    them ends the element or starts another. Raises ValueError for what is not JSON (NaN).
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Lone surrogates, of file names that are not UTF-8, cannot be written as UTF-8.
    text = re.sub(r"[<>&\u2028\u2029\ud800-\udfff]", lambda c: f"\\u{ord(c[0]):04x}", text)
    return f'<script type="application/json" id="data-{html.escape(name)}">{text}</script>\n'


def page(
    title: str,
    *,
    body: str = "",
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    policy: Mapping[str, str] | None = None,
) -> Page:
    """The page. `body` is HTML, trusted; `title` and `data` may hold anything.

    `policy` adds to the content-security policy or replaces a part of it: `{"connect-src":
    "'self'"}` for a page that asks its own server. Inline `style="..."` and `onclick="..."` do not
    work under it, on purpose; setting `element.style.width` from a script does.
    """
    style = _inert("\n".join(styles), "style")
    script = _inert("\n".join(_joined(text) for text in scripts), "script")
    parts = _POLICY | {"style-src": _hash(style), "script-src": _hash(script)} | dict(policy or {})
    stated = "; ".join(f"{name} {value}" for name, value in parts.items())
    blocks = "".join(json_block(name, value) for name, value in (data or {}).items())
    shown = html.escape(title.encode("utf-8", "backslashreplace").decode())
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(stated)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="{_ICON}">\n<title>{shown}</title>\n<style>{style}</style>\n'
        f"</head>\n<body>\n{body}\n{blocks}"
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )
    return Page(text, stated)


def _joined(module: str) -> str:
    return _EXPORT.sub("", _IMPORT.sub("", module))


def _inert(text: str, element: str) -> str:
    # Browsers hash what they parsed, in which every line ends in \n.
    text = text.replace("\r\n", "\n")
    if f"</{element}" in text.lower() or "<!--" in text:
        raise ValueError(f"a {element} of a page holds what would end its element")
    return text


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
