"""A page is one file: what is in it is escaped, and nothing else may run or be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shards.inspect.pages.page import asset, data_url, json_block, page
from tests.browser import Browse, serious_faults, until

KIT = "shards.inspect.pages"
HOSTILE = "</script><script>document.title='taken'</script><!--<script> & \u2028 \ud800 \" '"
SHOW = """
import { data, el, tabs, themeButton } from "./kit.js";
export const shown = data("texts");
const names = { a: "First", b: "Second" };
const [list, choose] = tabs(names, (id) => { list.dataset.at = id; }, "Parts");
document.getElementById("main").append(el("h1", {}, "Texts"), themeButton(), list,
  ...["a", "b"].map((id) => el("div", { id: `panel-${id}`, role: "tabpanel", tabindex: 0,
    "aria-labelledby": `tab-${id}` }, id)),
  ...shown.map((text) => el("p", { title: text }, text)),
  el("img", { src: data("image"), alt: "a dot" }));
choose("a");
"""
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


def write(path: Path, **changed: Any) -> Path:
    parts: dict[str, Any] = {
        "body": '<main id="main"></main>',
        "styles": [asset(KIT, "kit.css")],
        "scripts": [asset(KIT, "kit.js"), SHOW],
        "data": {"texts": ["plain", HOSTILE], "image": data_url(DOT, "image/png")},
    }
    path.write_text(page(HOSTILE, **{**parts, **changed}).html, "utf-8")
    return path


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1600, False)])
def test_it_opens_from_disk(browse: Browse, tmp_path: Path, width: int, dark: bool) -> None:
    shown = browse(width=width, dark=dark)
    shown.goto(write(tmp_path / "a.html").as_uri())
    assert shown.locator("p").all_inner_texts()[0] == "plain"
    text = shown.evaluate("document.querySelectorAll('p')[1].textContent.toWellFormed()")
    assert text == HOSTILE.replace("\ud800", "\ufffd")
    assert "taken" in shown.title()  # as text
    assert shown.title() != "taken"
    assert shown.locator("img").evaluate("i => i.naturalWidth") == 1
    assert serious_faults(shown) == []
    shown.get_by_role("tab", name="First").focus()
    shown.keyboard.press("ArrowRight")
    until(shown, lambda: shown.get_by_role("tabpanel").inner_text() == "b")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    before = shown.evaluate(background)
    for _ in range(2 if not dark else 1):  # system, light, dark
        shown.get_by_role("button", name="Colours").click()
    until(shown, lambda: shown.evaluate(background) != before)


def test_nothing_else_runs_or_is_loaded(chromium: Any, tmp_path: Path) -> None:
    body = (
        '<main id="main" onclick="document.title=\'clicked\'">x</main><script>'
        "document.title='inline'</script><img src='http://127.0.0.1:9/a.png' alt=''>"
    )
    path = write(tmp_path / "a.html", body=body)
    context = chromium.new_context()
    shown = context.new_page()
    errors: list[str] = []
    shown.on("console", lambda message: errors.append(message.text))
    shown.goto(path.as_uri())
    shown.locator("#main").click(position={"x": 1, "y": 1})
    assert shown.title() not in ("inline", "clicked")
    until(shown, lambda: sum("Content Security Policy" in text for text in errors) >= 3)
    context.close()


def test_what_would_end_an_element_is_refused() -> None:
    with pytest.raises(ValueError, match="script of a page"):
        page("x", scripts=["'</SCRIPT>'"])
    with pytest.raises(ValueError):
        json_block("x", float("nan"))
    assert "<" not in json_block("x", HOSTILE)[len("<script ") : -len("</script>\n")]


def test_what_is_not_there_yet_is_waited_for(browse: Browse) -> None:
    shown = browse()
    shown.set_content("<main></main>")
    words = "document.querySelector('p').textContent"
    with pytest.raises(AssertionError, match=r"never true.*null"):
        until(shown, words, seconds=0.2)
    shown.evaluate(
        "setTimeout(() => document.body.append("
        "Object.assign(document.createElement('p'), { textContent: 'here' })), 300)"
    )
    until(shown, f"{words} == 'here'")
