"""The page, in a real browser, from disk: it shows what points say, and can be used by anybody."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from idol.config.render import RenderConfig
from idol.render.page import relief_page, write_page
from idol.render.read import read_footage
from idol.render.relief import Relief, Shape, relief_of
from tests.browser import Browse, serious_faults, tab, until
from tests.idol.render.scenes import SIDE, projected, relief, two_layers
from tests.idol.render.test_tracing import PEOPLE, VIEWS, difference, person_points

NAME = '<script>alert(1)</script> & "quotes" </script> été'


@pytest.fixture(scope="module")
def made() -> Relief:
    found = relief()
    return dataclasses.replace(found, name=NAME, generated=True)


@pytest.fixture(scope="module")
def file(made: Relief, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "relief.html"
    write_page(path, made, quality=95)
    return path


def opened(browse: Browse, file: Path, **how):
    page = browse(reduced_motion="reduce", **how)
    page.goto(file.as_uri())
    page.evaluate("relief.ready")
    return page


def picture(page, side: int = SIDE, **state) -> np.ndarray:
    """(side, side, 3) uint8 RGB: what the canvas shows."""
    address = page.evaluate(
        """([side, state]) => {
            const canvas = document.getElementById("canvas");
            canvas.width = canvas.height = side;
            return relief.picture(state);
        }""",
        [side, state],
    )
    data = base64.b64decode(address.split(",")[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.slow
def test_the_canvas_shows_what_points_say(browse, file, made):
    page = opened(browse, file)
    ground = page.evaluate(
        "getComputedStyle(document.getElementById('stage')).backgroundColor.match(/[0-9.]+/g)"
    )
    ground = tuple(float(value) for value in ground[:3])
    for yaw, pitch in ((0, 0), (15, 0), (-15, 0), (0, 10), (12, -8)):
        shown = picture(page, frame=1, yaw=yaw, pitch=pitch)
        assert difference(shown, projected(made, 1, yaw, pitch, SIDE, ground)) < 3
        if yaw or pitch:
            assert difference(shown, projected(made, 1, -yaw, -pitch, SIDE, ground)) > 8
    other = picture(page, frame=0, yaw=12, pitch=-8)
    assert difference(other, projected(made, 0, 12, -8, SIDE, ground)) < 3
    assert np.abs(other.astype(int) - shown).mean() > 2


def test_no_gap_opens_behind_an_arm(browse, tmp_path):
    layers = relief(two_layers())
    layers.backdrop.picture[:] = (0, 0, 250)
    layers.backdrop.opacity[:] = 255
    write_page(tmp_path / "arm.html", layers, quality=95)
    page = opened(browse, tmp_path / "arm.html")
    for yaw, pitch in ((15, 0), (-15, 0), (0, 15), (0, -15)):
        shown = picture(page, side=2 * SIDE, yaw=yaw, pitch=pitch).astype(int)
        place = (np.abs(shown - (0, 0, 250)).sum(-1) < 120).astype(np.uint8)
        person = 1 - place
        closed = cv2.morphologyEx(person, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
        assert (closed - person).sum() == 0


@pytest.mark.parametrize("views", [VIEWS[:2], pytest.param(VIEWS[2:], marks=pytest.mark.slow)])
def test_rendered_people_have_no_hole_at_their_outline_in_the_page(browse, tmp_path, views):
    """Person green, place blue, and red where neither is, from 15 degrees to every side."""
    config = RenderConfig(video=f"{PEOPLE}::people-00000-0", out=Path("unused"), frames=2)
    made = relief_of(read_footage(config), Shape())
    made.colours[:] = (0, 200, 0)
    made.backdrop.picture[:] = (0, 0, 200)
    made.backdrop.opacity[:] = 255
    write_page(tmp_path / "people.html", made, quality=95)
    page = opened(browse, tmp_path / "people.html")
    page.evaluate("stage.style.backgroundColor = 'rgb(250, 0, 0)'")
    side = 160
    for yaw, pitch in views:
        shown = picture(page, side=side, frame=1, yaw=yaw, pitch=pitch).astype(int)
        points = person_points(made, 1, yaw, pitch, side).astype(np.uint8)
        closed = cv2.morphologyEx(points, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        inside = cv2.erode(closed, np.ones((3, 3), np.uint8)) > 0
        around = cv2.dilate(closed, np.ones((9, 9), np.uint8)) > 0
        assert inside.sum() > 500
        assert (shown[inside][:, 1] < 100).mean() < 0.002
        assert (shown[around][:, 0] > 60).sum() == 0


ARM, TRUNK, PLACE = (250, 250, 250), (40, 200, 60), (0, 0, 250)
BRIGHTNESS = np.array([0.299, 0.587, 0.114])


def between_layers(shown: np.ndarray) -> np.ndarray:
    """(H, W) uint8: 1 where a pixel is as bright as none of the layers; hues say nothing, for WebP
    has one of them for two pixels by two."""
    bright = np.array([ARM, TRUNK, PLACE]) @ BRIGHTNESS
    apart = np.abs((shown @ BRIGHTNESS)[..., None] - bright).min(-1)
    return (apart > 15).astype(np.uint8)


@pytest.mark.slow
def test_nothing_stretches_from_one_layer_to_the_next(browse, tmp_path):
    given = two_layers()
    given.frames[given.depth == np.float32(2.7)] = ARM
    layers = relief(given)
    layers.backdrop.picture[:] = PLACE
    layers.backdrop.opacity[:] = 255
    views = ((0, 0), (15, 0), (-15, 0), (0, 15), (0, -15))
    assert widest_sheets(browse, tmp_path / "cut.html", layers, views) == [0] * 5
    # Where nothing is cut the arm is drawn out to the trunk, and that is seen from all sides.
    whole = dataclasses.replace(layers, cut=1e9)
    assert min(widest_sheets(browse, tmp_path / "whole.html", whole, views[1:])) > 10


def widest_sheets(browse: Browse, file: Path, made: Relief, views) -> list[int]:
    """Of each view the pixels of what is between layers and wider than an outline: outlines are
    soft for a pixel of the grid, two of what is shown."""
    write_page(file, made, quality=95)
    page = opened(browse, file)
    shown = [picture(page, side=2 * SIDE, yaw=yaw, pitch=pitch) for yaw, pitch in views]
    return [int(cv2.erode(between_layers(s), np.ones((4, 4))).sum()) for s in shown]


def test_depth_can_be_flattened_and_what_was_invented_marked(browse, file):
    page = opened(browse, file)
    deep = picture(page, yaw=20, depth=2).astype(int)
    flat = picture(page, yaw=20, depth=0).astype(int)
    assert np.abs(deep - flat).mean() > 3
    plain = picture(page, yaw=20, depth=1).astype(int)
    marked = picture(page, yaw=20, depth=1, marked=True).astype(int)
    pink = (marked - plain)[..., 0] - (marked - plain)[..., 1] > 60
    assert pink.mean() > 0.02  # beyond the picture's border


def test_who_pauses_before_it_is_drawn_is_heeded(browse, file):
    page = browse()
    page.add_init_script(
        "const made = createImageBitmap, gate = new Promise((open) => { window.open = open; });"
        "window.createImageBitmap = async (...what) => { await gate; return made(...what); };"
    )
    page.goto(file.as_uri())
    page.locator("#play").click()
    page.evaluate("window.open()")
    until(page, "!stage.hasAttribute('aria-busy')")
    page.evaluate("relief.ready")
    assert page.locator("#play").inner_text() == "Play"


@pytest.mark.slow
def test_it_is_orbited_by_mouse_touch_and_keys(browse, file):
    page = opened(browse, file)

    def state(name: str):
        return page.evaluate(f"relief.state.{name}")

    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 30, steps=3)
    page.mouse.up()
    until(page, "relief.state.yaw > 2 && relief.state.pitch > 1")
    page.mouse.move(x + 60, y)  # let go
    held = state("yaw")
    page.locator("#canvas").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    until(page, lambda: state("yaw") == pytest.approx(held - 4))
    page.keyboard.press("+")
    until(page, "relief.state.zoom > 1")
    page.keyboard.press(".")
    until(page, "relief.state.frame === 1")
    page.keyboard.press(".")
    until(page, "relief.state.frame === 0")  # round
    page.keyboard.press("0")
    until(page, lambda: [state(n) for n in ("yaw", "pitch", "zoom")] == [0, 0, 1])
    page.keyboard.press(" ")
    until(page, "relief.state.frame === 1")
    page.keyboard.press(" ")
    until(page, "document.getElementById('play').textContent == 'Play'")
    page.locator("#depth").focus()
    page.keyboard.press("End")
    until(page, "relief.state.depth === 2")
    page.locator("#yaw").fill("-12")
    until(page, "relief.state.yaw === -12")
    page.get_by_role("button", name="Front view").click()
    until(page, "relief.state.yaw === 0")
    page.get_by_role("button", name="Sway").click()
    until(page, "Math.abs(relief.state.yaw) > 1")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save image").click()
    assert download.value.suggested_filename.endswith(".png")


def test_a_finger_orbits_and_two_zoom(browse, file):
    page = opened(browse, file, width=390, height=800, touch=True)
    box = page.locator("#canvas").bounding_box()
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": box["x"] + x, "y": box["y"] + y, "id": n} for n, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    # A finger that has rested for half a second does not move any more: on a slow machine, again.
    def turned() -> bool:
        touch("touchStart", (100, 100))
        touch("touchMove", (160, 100))
        touch("touchEnd")
        return page.evaluate("relief.state.yaw < -2")

    def larger() -> bool:
        touch("touchStart", (100, 100), (140, 100))
        touch("touchMove", (60, 100), (180, 100))
        touch("touchEnd")
        return page.evaluate("relief.state.zoom > 1.2")

    until(page, turned)
    until(page, larger)


@pytest.mark.parametrize("width", [390, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_can_be_read_by_everybody(browse, file, width, dark):
    page = opened(browse, file, width=width, dark=dark)
    assert page.title().startswith(NAME)
    until(page, lambda: page.locator("h1").inner_text() == NAME)
    page.locator("#synthetic").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("summary").click()
    assert serious_faults(page) == []
    canvas = page.locator("#canvas").bounding_box()
    assert canvas["width"] / canvas["height"] == pytest.approx(1, abs=0.02)
    # Every control can be reached by the tab key, the picture among them.
    reached = set()
    for _ in range(14):
        tab(page)
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"canvas", "play", "frame", "depth", "yaw", "pitch", "reset", "sway", "save"} <= reached


def test_it_is_never_black(browse, file):
    page = opened(browse, file)
    # What is there as soon as the page says it is ready, and after the canvas was emptied.
    assert seen(page).mean() > 60
    page.set_viewport_size({"width": 700, "height": 900})
    assert seen(page).mean() > 60


def test_a_lost_context_comes_back(browse, file):
    page = opened(browse, file, said=("CONTEXT_LOST",))
    before = picture(page, frame=1, yaw=12)
    page.evaluate(
        "window.loss = canvas.getContext('webgl2').getExtension('WEBGL_lose_context');"
        "loss.loseContext()"
    )
    until(page, "stage.getAttribute('aria-busy') === 'true'")
    page.evaluate("loss.restoreContext()")
    assert np.array_equal(picture(page, frame=1, yaw=12), before)
    until(page, "!stage.hasAttribute('aria-busy')")


def seen(page) -> np.ndarray:
    """(H, W, 3) uint8: the middle of the stage, as it is on the screen."""
    data = np.frombuffer(page.locator("#stage").screenshot(), np.uint8)
    shown = cv2.imdecode(data, cv2.IMREAD_COLOR)
    height, width = shown.shape[:2]
    return shown[height // 4 : -height // 4, width // 4 : -width // 4]


def test_without_webgl_it_says_so(browse, file):
    page = browse(width=600)
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(file.as_uri())
    page.locator("#failure").wait_for(state="visible")
    until(page, "document.getElementById('failure').textContent.includes('no WebGL2')")


def test_the_file_states_a_policy_and_names_no_other(made):
    text = relief_page(made)
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")  # a name
    assert "https://" not in text
