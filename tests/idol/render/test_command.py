"""`idol-render`: what it reads, what it writes, and what it says of what it cannot."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import OpenEXR
import pytest
from PIL import Image

from idol.config.render import RenderConfig
from idol.generate.outputs import write_outputs
from idol.mp4 import mp4_writer
from idol.render.cli import main
from idol.render.errors import RenderError
from idol.render.read import _camera_said, _exr, _numbered, coverage, read_footage
from idol.render.relief import Shape, relief_of
from idol.render.run import REPORT, _entries, _made_already, _settings
from shards import open_dataset
from shards.files.digest import canonical_json, sha256_file
from shards.files.locks import alone_in
from tests.idol.generate.pictures import generated_clip
from tests.idol.render.scenes import footage

PEOPLE = Path(__file__).parents[3] / "examples" / "people.tar"
QUICK = ("--write", "page", "--frames", "2")


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """Somebody else's: video.mp4, depth as PNG in millimetres, as EXR, and as .npy; a mask."""
    folder = tmp_path_factory.mktemp("video")
    made = footage(3)
    with mp4_writer(folder / "video.mp4", 96, 96, 12, "x", None) as add:
        for frame in made.frames:
            add(frame)
    for kind in ("mm", "exr", "mask"):
        (folder / kind).mkdir()
    depth = np.nan_to_num(made.depth, nan=0)
    for t in range(3):
        cv2.imwrite(str(folder / "mm" / f"{t + 8}.png"), (depth[t] * 1000).astype(np.uint16))
        cv2.imwrite(str(folder / "mask" / f"{t}.png"), made.mask[t])
        OpenEXR.File(
            {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage},
            {"Z": np.ascontiguousarray(depth[t])},
        ).write(str(folder / "exr" / f"{t}.exr"))
    np.save(folder / "depth.npy", depth)
    return folder


def read(video: str, **options):
    return read_footage(RenderConfig(video=video, out=Path("unused"), **options))


def test_a_clip_of_shards_with_metres_and_its_camera():
    found = read(f"{PEOPLE}::people-00000-0", frames=3, start_frame=2)
    assert len(found.frames) == 3
    assert found.unit == "metres"
    assert found.focal == pytest.approx(84.08, abs=0.01)
    assert found.told["mask_from"] == "the clip"
    assert not found.generated
    assert np.nanmin(found.depth) > 1
    assert read(f"{PEOPLE}::people-00000-0", view=50.0).focal is None


def saying(path: Path, said: dict[str, Any]) -> Path:
    """A tar of the first clip, whose json says this in place of what it says."""
    with tarfile.open(PEOPLE) as ours, tarfile.open(path, "w") as theirs:
        for member in ours:
            if not member.name.startswith("people-00000-0."):
                continue
            data = ours.extractfile(member).read()
            if member.name.endswith(".json"):
                data = json.dumps(json.loads(data) | said).encode()
                member.size = len(data)
            theirs.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "said",
    [None, "nothing", {"depth_person": None}, {"depth_person": {"near": 1, "unit": "metres"}}],
)
def test_a_strangers_json_may_say_something_else_of_its_depth(said, tmp_path):
    names = ("depth", "annotators", "camera", "fps")
    path = saying(tmp_path / "theirs.tar", dict.fromkeys(names, said))
    found = read(f"{path}::people-00000-0", frames=2)
    assert (found.unit, found.focal, found.fps) == ("relative", None, 25)
    assert np.isfinite(found.depth).any()


@pytest.mark.parametrize(
    ("camera", "focal", "centre"),
    [
        ({"focal": 80, "centre": [3, 4.5]}, 80, (3, 4.5)),
        ({"focal": 80, "centre": [3, None]}, 80, None),
        ({"focal": 80, "centre": {"x": 3}}, 80, None),
        ({"focal": "80", "centre": [3, 4]}, None, None),
        ({"focal": 0}, None, None),
    ],
)
def test_of_a_camera_that_is_taken_which_a_strangers_json_says(camera, focal, centre):
    clip = open_dataset(str(PEOPLE)).read("people-00000-0")
    clip.info["camera"] = camera
    assert _camera_said(clip) == (focal, centre)


def test_an_output_of_generation(tmp_path):
    clip = generated_clip(metres=None)
    place = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    hole = np.zeros((64, 64), np.uint8)
    hole[20:40] = np.linspace(0, 255, 64)
    write_outputs(tmp_path / "out", clip, {"seed": 1}, watermark=None, background=(place, hole))
    found = read(str(tmp_path / "out"))
    assert found.generated
    np.testing.assert_array_equal(found.background, place)
    np.testing.assert_array_equal(found.background_mask, hole)
    assert found.unit == "relative"
    assert found.fps == 12.5
    assert found.frames.shape == (3, 256, 256, 3)
    np.testing.assert_allclose(
        np.nan_to_num(found.depth, nan=1), clip.depth, atol=1e-5
    )  # where there is nobody it is not known
    assert (found.mask[0, :14, :14] == 0).all()
    assert (found.mask[0, 20:] == 255).all()
    metres = (1 + clip.depth).astype(np.float32)
    metres[clip.depth == 1] = np.nan
    write_outputs(tmp_path / "m", generated_clip(metres=metres), {}, watermark=None)
    found = read(str(tmp_path / "m"), start_frame=1)
    assert found.background is None
    assert found.unit == "metres"
    np.testing.assert_array_equal(found.depth, metres[1:])


def test_how_much_a_person_covers_of_a_soft_edge():
    depth = np.full((20, 20), 1.0)
    depth[5:15, 5:15] = 0.5
    depth[5:15, 15] = 0.75  # half of each
    depth[2, 2] = 0.97  # noise of the background
    covered = coverage(depth)
    assert (covered[6:14, 6:14] == 255).all()
    np.testing.assert_allclose(covered[7:13, 15], 128, atol=2)
    assert covered[2, 2] == 0
    assert coverage(np.ones((8, 8))).max() == 0


def test_other_peoples_depth_in_all_its_forms(video):
    mm = read(str(video / "video.mp4"), depth=video / "mm", depth_unit="millimetres")
    exr = read(str(video / "video.mp4"), depth=video / "exr", depth_unit="metres")
    npy = read(str(video / "video.mp4"), depth=video / "depth.npy", depth_unit="metres")
    assert mm.unit == exr.unit == "metres"
    assert mm.fps == 12
    np.testing.assert_array_equal(exr.depth, npy.depth)
    np.testing.assert_allclose(mm.depth, exr.depth, atol=1e-3)  # 8, 9, 10: by number
    inverse = read(
        str(video / "video.mp4"), depth=video / "depth.npy", depth_unit="inverse",
        mask=video / "mask", start_frame=1,
    )  # fmt: skip
    assert inverse.unit == "relative"
    assert len(inverse.frames) == 2
    np.testing.assert_array_equal(inverse.mask, footage(3).mask[1:])
    assert inverse.depth.max() == 0


def test_a_sensors_mistake_is_no_sign_that_metres_are_counted_from_elsewhere(video):
    depth = np.load(video / "depth.npy")
    y, x = np.argwhere(footage(3).mask[0] > 0).mean(0).astype(int)
    depth[0, y, x] = 0.05
    np.save(video / "mistaken.npy", depth)
    found = read(
        str(video / "video.mp4"), depth=video / "mistaken.npy", mask=video / "mask",
        depth_unit="metres",
    )  # fmt: skip
    assert np.isnan(found.depth[0, y, x])
    assert relief_of(found, Shape()).told["depth"] == {"unit": "metres", "from": "the camera"}


def layered(path: Path, **channels: float) -> Path:
    """An EXR of even channels; `__` in a name stands for a dot."""
    OpenEXR.File(
        {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage},
        {
            name.replace("__", "."): np.full((8, 8), value, np.float32)
            for name, value in channels.items()
        },
    ).write(str(path))
    return path


COLOUR = {"A": 1, "R": 0.1, "G": 0.2, "B": 0.3}
BLENDERS = {f"ViewLayer__Combined__{name}": value for name, value in COLOUR.items()}
NORMAL = dict.fromkeys(("View__Normal__X", "View__Normal__Y", "View__Normal__Z"), 0.5)


@pytest.mark.parametrize(
    "channels",
    [
        {"foo": 7},
        {"A": 1, "Z": 7},
        {"A": 1, "Y": 7},
        {"A": 1, "depth": 7},
        {**COLOUR, "Depth": 7},
        {**COLOUR, "Z": 7},
        {"Z": 7, "depth__Z": 3, "V": 3},
        {"A": 1, "depth__Z": 7},
        {**COLOUR, "depth__V": 7},
        {**BLENDERS, "ViewLayer__Depth__Z": 7},
        {**BLENDERS, **NORMAL, "View__Depth__Z": 7, "View__UV__U": 1, "View__UV__V": 1},
        {"R": 7},
        {"A": 1, "R": 7, "G": 7, "B": 7},
    ],
)
def test_of_an_exr_the_channel_that_is_depth_is_taken(channels, tmp_path):
    np.testing.assert_array_equal(_exr(layered(tmp_path / "a.exr", **channels)), 7)


@pytest.mark.parametrize(
    "channels",
    [
        COLOUR,
        BLENDERS,
        NORMAL,
        {"A": 1, "foo": 7},
        {"Y": 1, "RY": 2, "BY": 3},
        {**BLENDERS, "View__UV__U": 1, "View__UV__V": 1},
        {"near__Depth__Z": 1, "far__Depth__Z": 2},
    ],
)
def test_an_exr_that_does_not_say_which_channel_is_depth_is_refused_in_one_line(
    channels, tmp_path, video, capsys
):
    file = layered(tmp_path / "a.exr", **channels)
    line = [str(video / "mask" / "0.png"), "--depth", str(file)]
    assert main([*line, "--out", str(tmp_path / "out")]) == 2
    names = ", ".join(sorted(name.replace("__", ".") for name in channels))
    assert capsys.readouterr().err.splitlines() == [
        f"idol-render: {file} does not say which of its channels ({names}) is depth: save that one "
        "alone, or named Z, and give it as --depth"
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_a_long_video_is_read_without_its_pictures_in_full_size(tmp_path, kind):
    grey = np.full((480, 640), 90, np.uint8)
    grey[100:400, 200:440] = 30
    for folder in ("video", "mask", "png"):
        (tmp_path / folder).mkdir()
        for t in range(16):
            cv2.imwrite(str(tmp_path / folder / f"{t}.png"), grey)
    np.save(tmp_path / "npy", np.stack([grey.astype(np.float32)] * 16))
    depth = tmp_path / ("depth.npy" if kind == "npy" else kind)
    if kind == "npy":
        (tmp_path / "npy.npy").rename(depth)

    def peak(frames: int) -> int:
        tracemalloc.start()
        found = read(
            str(tmp_path / "video"), depth=depth, mask=tmp_path / "mask", frames=frames,
            picture=64, grid=64,
        )  # fmt: skip
        assert found.depth.shape == (frames, 48, 64)
        assert sorted(np.unique(found.depth)) == [30, 90]
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(16) < 1.5 * peak(2)


def test_depth_of_another_shape_than_the_video_is_refused(video):
    np.save(video / "wide.npy", np.ones((3, 96, 100), np.float32))
    with pytest.raises(RenderError, match=r"wide.npy is 100x96, of another shape than the video's"):
        read(str(video / "video.mp4"), depth=video / "wide.npy", grid=16)


def numbered(folder: Path, numbers: tuple[int, ...]) -> Path:
    """Grey pictures of these numbers, light in the middle."""
    folder.mkdir()
    for number in numbers:
        grey = np.zeros((32, 32), np.uint8)
        grey[8:-8, 8:-8] = 200
        cv2.imwrite(str(folder / f"{number:04d}.png"), grey)
    return folder


@pytest.mark.parametrize("option", ["depth", "mask"])
def test_depth_and_masks_are_of_the_frames_numbers(tmp_path, option):
    frames = {
        "all": numbered(tmp_path / "all", (1, 2, 3, 4, 5)),
        "gap": numbered(tmp_path / "gap", (1, 2, 3, 5, 6)),
    }
    other = {
        "steady": numbered(tmp_path / "steady", (10, 11, 12, 13, 14)),
        "gap": numbered(tmp_path / "other", (1, 2, 3, 5, 6)),
        "times": numbered(tmp_path / "times", (160407, 194330, 226738, 262886, 295279)),
    }
    given = {"depth": other["steady"]}

    def found(video: str, beside: str, **options):
        return read(str(frames[video]), **(given | {option: other[beside]} | options))

    for beside in ("steady", "times"):
        assert len(found("all", beside).frames) == 5
    if option == "depth":
        assert len(found("gap", "gap").frames) == 5
    assert len(found("all", "gap", frames=3).frames) == 3
    with pytest.raises(RenderError, match=rf"--{option} .*: one is missing between 0003.png and"):
        found("all", "gap")
    with pytest.raises(RenderError, match=r"lacks a frame between numbers 3 and 5"):
        found("gap", "steady")


def test_frames_come_by_their_numbers_and_hidden_files_are_none(tmp_path):
    for name in ("10.png", "9.png", "²1.png", "._9.png", ".DS_Store"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in _numbered(tmp_path, (".png",))] == ["9.png", "10.png", "²1.png"]


def test_a_phones_video_is_shown_upright(tmp_path, make_video):
    upright = footage(2, 96, 64)
    stored = [np.ascontiguousarray(np.rot90(frame)) for frame in upright.frames]
    path = make_video(tmp_path / "a.mp4", 2, width=64, height=96, rotation=-90, images=stored)
    np.save(tmp_path / "depth.npy", np.nan_to_num(upright.depth, nan=4))
    found = read(str(path), depth=tmp_path / "depth.npy", mask=path)
    assert found.frames.shape == upright.frames.shape
    assert np.abs(found.frames.astype(int) - upright.frames).mean() < 6
    assert found.mask.shape == (2, 64, 96)


def test_photos_are_shown_upright(tmp_path):
    upright = footage(1, 96, 64)
    exif = Image.Exif()
    exif[0x112] = 6
    for name in ("photo.jpg", "place.png"):
        stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright.frames[0])))
        stored.save(tmp_path / name, quality=95, exif=exif)
    np.save(tmp_path / "depth.npy", np.nan_to_num(upright.depth, nan=4))
    found = read(
        str(tmp_path / "photo.jpg"), depth=tmp_path / "depth.npy", background=tmp_path / "place.png"
    )
    assert found.frames.shape == (1, 64, 96, 3)
    assert np.abs(found.frames[0].astype(int) - upright.frames[0]).mean() < 6
    np.testing.assert_array_equal(found.background, upright.frames[0])


@pytest.mark.parametrize("photo", ["grey.png", "grey.jpg", "colour.tif", "colour.webp"])
def test_a_photo_in_grey_or_of_another_kind_and_its_mask_in_one_file(photo, tmp_path):
    made = footage(1, 96, 64)
    grey = np.ascontiguousarray(made.frames[0, ..., 1])
    exif = Image.Exif()
    exif[0x112] = 1
    image = Image.fromarray(grey if "grey" in photo else made.frames[0])
    image.save(tmp_path / photo, exif=exif)
    cv2.imwrite(str(tmp_path / "mask.png"), made.mask[0])
    np.save(tmp_path / "depth.npy", np.nan_to_num(made.depth, nan=4))
    found = read(str(tmp_path / photo), depth=tmp_path / "depth.npy", mask=tmp_path / "mask.png")
    assert found.frames.shape == made.frames.shape
    np.testing.assert_array_equal(found.mask, made.mask)


def test_a_photo_of_16_bits_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 96, 3), np.uint16))
    with pytest.raises(RenderError, match=r"a\.png has 16 bits a channel: frames have 8"):
        read(str(tmp_path / "a.png"), depth=tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("half.jpg", "image is cut short"),
        ("half.png", "image is cut short"),
        ("huge.png", "image is 40000x40000, more than 8192x8192 pixels: not decoded"),
        ("text.png", "image cannot be decoded"),
    ],
)
def test_a_background_that_is_cut_short_or_huge_is_refused_in_one_line(
    name, message, tmp_path, video, capfd
):
    made = footage(1)
    data = cv2.imencode(Path(name).suffix, made.background)[1].tobytes()
    place = tmp_path / name
    place.write_bytes(
        {
            "half": data[: len(data) // 2],
            "huge": data[:16] + struct.pack(">II", 40000, 40000) + data[24:],
            "text": b"no",
        }[place.stem]
    )
    line = [str(video / "video.mp4"), "--depth", str(video / "depth.npy"), "--frames", "1"]
    assert main([*line, "--background", str(place), "--out", str(tmp_path / "out")]) == 2
    assert capfd.readouterr().err.splitlines() == [
        f"idol-render: {place} cannot be the background: {message}; give another as --background"
    ]
    assert not (tmp_path / "out").exists()


def test_what_is_transparent_of_a_background_is_not_known(tmp_path, video):
    made = footage(1)
    alpha = made.mask[0] // 2
    pixels = np.dstack([made.background[..., ::-1], alpha])
    cv2.imwrite(str(tmp_path / "place.png"), pixels)
    found = read(
        str(video / "video.mp4"), depth=video / "depth.npy", background=tmp_path / "place.png"
    )
    np.testing.assert_array_equal(found.background, made.background)
    np.testing.assert_array_equal(found.background_mask, 255 - alpha)


def test_the_command_writes_all_or_nothing_and_not_twice(tmp_path, capsys):
    out = tmp_path / "out"
    line = [f"{PEOPLE}::people-00000", "--out", str(out), "--frames", "2"]
    everything = ["--write", "page", "turntable", "rgbd", "ply", "glb", "exr", "--size", "32"]
    assert main([*line, *everything, "--seconds", "0.1"]) == 0
    printed = capsys.readouterr().out.split()
    report = json.loads((out / "render.json").read_bytes())
    files = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} - {"render.json"}
    assert files == set(report["files"])
    assert {Path(p).name for p in printed} == {name.split("/")[0] for name in files}
    for name, file in report["files"].items():
        assert file["sha256"] == sha256_file(out / name)
    assert report["unit"] == "metres"
    assert report["camera"]["from"] == "the video"
    before = (out / "relief.html").stat().st_mtime_ns
    assert main([*line, *everything, "--seconds", "0.1"]) == 0
    assert (out / "relief.html").stat().st_mtime_ns == before
    with (out / "rgbd.mp4").open("ab") as file:
        file.write(b"more")
    (out / "ply" / "00001.ply").unlink()
    assert main([*line, *everything, "--seconds", "0.1"]) == 0
    for name, file in report["files"].items():
        assert file["sha256"] == sha256_file(out / name)
    assert main([*line, "--write", "page"]) == 2
    assert "give --overwrite" in capsys.readouterr().err
    assert main([*line, "--write", "exr", "--overwrite"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["exr", "render.json"]


def test_the_same_video_of_another_camera_is_not_made_already(tmp_path, capsys):
    out = tmp_path / "out"
    a, b = (saying(tmp_path / f"{n}.tar", {"camera": {"focal": n}}) for n in (84, 50))
    rest = ["--out", str(out), *QUICK]
    assert main([f"{a}::people-00000-0", *rest]) == 0
    before = (out / "relief.html").read_bytes()
    assert main([f"{a}::people-00000-0", *rest]) == 0
    capsys.readouterr()
    assert main([f"{b}::people-00000-0", *rest]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "with other settings (input in its render.json)" in said
    assert (out / "relief.html").read_bytes() == before
    assert main([f"{b}::people-00000-0", *rest, "--overwrite"]) == 0
    assert (out / "relief.html").read_bytes() != before


@pytest.mark.parametrize(
    "change", [{"focal": 90.0}, {"focal": None}, {"centre": (40.0, 47.5)}, {"unit": "relative"}]
)
def test_the_same_arrays_by_another_camera_or_unit_are_not_made_already(change, tmp_path):
    made = footage(1, focal=80.0, centre=(47.5, 47.5))
    config = RenderConfig(video="a.mp4", out=tmp_path)
    settings = _settings(config, made)
    (tmp_path / REPORT).write_bytes(canonical_json({**settings, "files": {}}))
    assert _made_already(config, settings) == []
    with pytest.raises(RenderError, match=r"with other settings \(input in its render\.json\)"):
        _made_already(config, _settings(config, dataclasses.replace(made, **change)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input": None, "software": None}, "of an earlier version, and does not say input, soft"),
        ({"input": None, "fps": 99}, "other settings (fps in its render.json)"),
        ({"software": {"idol-video": "0"}}, "other settings (software in its render.json)"),
    ],
)
def test_a_report_that_says_less_or_something_else_is_told_in_one_line(
    changed, message, tmp_path, capsys
):
    line = [f"{PEOPLE}::people-00000", "--out", str(tmp_path / "out"), *QUICK]
    assert main(line) == 0
    file = tmp_path / "out" / REPORT
    report = json.loads(file.read_bytes()) | changed
    file.write_text(json.dumps({n: value for n, value in report.items() if value is not None}))
    capsys.readouterr()
    assert main(line) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert message in said
    assert said.endswith("choose another --out, or give --overwrite")
    assert main([*line, "--overwrite"]) == 0


def test_a_folder_has_one_rendering_at_a_time(tmp_path, capsys):
    line = [f"{PEOPLE}::people-00000", "--out", str(tmp_path / "out"), *QUICK]
    with alone_in(tmp_path / "out"):
        assert main(line) == 2
        assert "is in use by another idol-render" in capsys.readouterr().err
        assert not [*(tmp_path / "out").glob(".unfinished-*")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").write_text("")  # of one that was killed
    assert main(line) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["relief.html", "render.json"]


def test_nothing_is_removed_that_this_command_does_not_write(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    (out / "relief.glb").write_text("an earlier run's")
    report = {"input_sha256": "0", "files": {"mine.txt": {}, "relief.glb": {}}}
    (out / "render.json").write_text(json.dumps(report))
    assert main([f"{PEOPLE}::people-00000", "--out", str(out), *QUICK, "--overwrite"]) == 0
    assert {path.name for path in out.iterdir()} == {"mine.txt", "relief.html", "render.json"}


@pytest.mark.parametrize("name", ["/home/me", "../ply", "./ply", "", ".", "mine.txt"])
def test_a_strangers_report_names_nothing_to_be_removed(name, tmp_path):
    report = {"input_sha256": "0", "files": {name: {}, "ply/0.ply": {}}}
    (tmp_path / "render.json").write_text(json.dumps(report))
    assert _entries(tmp_path) == {"ply"}


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        line = [f"{PEOPLE}::people-00005", "--out", str(tmp_path / name), "--frames", "2"]
        assert main([*line, "--write", "page", "glb", "rgbd", "turntable", "--size", "32"]) == 0
    a, b = (json.loads((tmp_path / n / "render.json").read_bytes()) for n in "ab")
    assert a == b


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["nothing.mp4"], "nothing.mp4 does not exist"),
        ([f"{PEOPLE}::nobody"], "no sample 'nobody'"),
        ([f"{PEOPLE}::people-00000", "--start-frame", "99"], "beyond its end"),
        ([f"{PEOPLE}::people-00000", "--mesh-frame", "9", "--write", "glb"], "--mesh-frame 9"),
        ([f"{PEOPLE}::people-00000", "--mesh-frame", "1", "--write", "page"], "is of a glb"),
        ([""], "the path of the video is empty"),
        ([f"{PEOPLE}::people-00000", "--swing", "9", "--depth-scale", "2"], "is of a turntable"),
        ([f"{PEOPLE}::people-00000", "--rgbd-style", "record3d"], "--rgbd-style is of a rgbd"),
        ([f"{PEOPLE}::people-00000", "--quality", "9", "--write", "glb"], "is of a page, and"),
        ([f"{PEOPLE}::people-00000", "--distance", "9"], "--distance is of metres that are not"),
        ([f"{PEOPLE}::people-00000", "--thickness", ".5"], "--thickness is of relative depth"),
        (["VIDEO/generated", "--depth", "VIDEO/depth.npy"], "an output of idol-generate, which"),
        (["VIDEO/mask", "--depth", "VIDEO/near.npy", "--depth-unit", "metres"], "farther than 0.1"),
        ([f"{PEOPLE}::people-00000", "--mask", "none.png"], "--mask none.png does not exist"),
        ([f"{PEOPLE}::people-00000", "--background", "none.png"], "does not exist"),
        ([f"{PEOPLE}::people-00000", "--depth", "d.npy"], "a clip has its own"),
        (["VIDEO/video.mp4"], "give it as --depth"),
        (["VIDEO"], "give it as --depth"),
        (["VIDEO/dataset"], "is a dataset: name a clip of it"),
        ([f"{PEOPLE}"], "is a dataset: name a clip of it"),
        (["VIDEO/video.mp4", "--depth", "VIDEO/video.mp4"], "is coloured: depth has to be grey"),
        (["VIDEO/damaged"], "is damaged, or not what idol-generate wrote"),
        (["VIDEO/depth.npy", "--depth", "VIDEO/depth.npy"], "cannot be read as a video"),
        (["VIDEO/video.mp4", "--depth", "VIDEO/none"], "does not exist"),
        (["VIDEO/video.mp4", "--depth", "VIDEO/video.mp4", "--view", "200"], "--view must be"),
        (["VIDEO/mask", "--depth", "VIDEO/two.npy"], "has 1 frames, and the video 2"),
        (["VIDEO/mask", "--depth", "VIDEO/text.npy"], "not a .npy of numbers"),
        (["VIDEO/mask", "--depth", "VIDEO/several.npy"], "holds several arrays (.npz)"),
        (["VIDEO/mask", "--depth", "VIDEO/nan.npy"], "shows nobody"),
        (["VIDEO/mask", "--depth", "VIDEO/flat.npy"], "must be (frames, height, width)"),
        (["VIDEO/mask", "--depth", "VIDEO/bool.npy"], "is an array of bool, not of numbers"),
        (["VIDEO/mask", "--depth", "VIDEO/empty.npy"], "is empty: (2, 0, 96)"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, video, capsys, line, message):
    np.save(video / "two.npy", np.ones((1, 96, 96), np.float32))
    np.save(video / "nan.npy", np.full((2, 96, 96), np.nan, np.float32))
    np.save(video / "flat.npy", np.ones((96, 96), np.float32))
    np.save(video / "bool.npy", np.ones((2, 96, 96), bool))
    np.save(video / "empty.npy", np.ones((2, 0, 96), np.float32))
    (video / "text.npy").write_text("no")
    with (video / "several.npy").open("wb") as file:
        np.savez(file, depth=np.ones((2, 96, 96), np.float32))
    np.save(video / "near.npy", np.full((2, 96, 96), 0.002, np.float32))
    for name in (
        *("dataset/dataset.json", "damaged/report.json"),
        *("generated/report.json", "generated/video.mp4"),
    ):
        (video / name).parent.mkdir(exist_ok=True)
        (video / name).write_text("{")
    out = tmp_path / "out"
    given = [part.replace("VIDEO", str(video)) for part in line]
    quick = QUICK if "--write" not in line else ("--frames", "2")
    assert main([*given, "--out", str(out), *quick]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("idol-render:") == 1
    assert not out.exists()


def test_what_lies_in_a_folder_is_not_touched(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main([f"{PEOPLE}::people-00000", "--out", str(tmp_path), *QUICK]) == 2
    assert "is not empty (it holds mine.txt)" in capsys.readouterr().err
    assert main([f"{PEOPLE}::people-00000", "--out", str(tmp_path), *QUICK, "--overwrite"]) == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"
    for out in ("mine.txt", "mine.txt/x", "mine.txt/x/y"):
        assert main([f"{PEOPLE}::people-00000", "--out", str(tmp_path / out), *QUICK]) == 2
        assert f"{tmp_path / 'mine.txt'} is a file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ply/scan.ply", "exr/scan.ply", "turntable.mp4", "render.json"])
@pytest.mark.parametrize("report", [None, "[]", '{"files": {}}'])
def test_what_nothing_says_is_ours_is_not_overwritten(name, report, tmp_path, capsys):
    """Whatever is asked for: the next command could not know it from what this one wrote."""
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    if report and mine != tmp_path / "render.json":
        (tmp_path / "render.json").write_text(report)
        name = "render.json" if name > "render.json" else name
    line = [f"{PEOPLE}::people-00000", "--out", str(tmp_path), "--frames", "2"]
    for more in ([], ["--overwrite"]):
        assert main([*line, *more, "--write", "ply"]) == 2
        said = capsys.readouterr().err.strip()
        found = tmp_path / name.partition("/")[0]
        assert f"{found} is there, and no render.json beside it says" in said
        assert said.endswith("move it, or give another --out")
    assert mine.read_text() == "mine"


def test_what_was_killed_while_it_was_put_in_place_is_overwritten(tmp_path):
    (tmp_path / "ply").mkdir()
    (tmp_path / "ply" / "00099.ply").write_text("")
    (tmp_path / ".unfinished-outputs").mkdir()
    line = [f"{PEOPLE}::people-00000", "--out", str(tmp_path), "--frames", "2"]
    assert main([*line, "--write", "ply"]) == 0
    assert len([*(tmp_path / "ply").iterdir()]) == 2


@pytest.mark.parametrize("given", ["turntable.mp4", "ply/depth.npy", "link.mp4"])
def test_what_is_given_is_not_written_over(given, tmp_path, capsys):
    (tmp_path / "ply").mkdir()
    (tmp_path / "ply" / "depth.npy").write_text("mine")
    (tmp_path / "turntable.mp4").write_text("mine")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "turntable.mp4")
    (tmp_path / "render.json").write_text('{"input_sha256": "0", "files": {}}')
    option = [str(tmp_path / given)]
    if given.startswith("ply"):
        option = ["video.mp4", "--depth", *option]
    assert main([*option, "--out", str(tmp_path), "--overwrite"]) == 2
    assert f"{tmp_path / given} is given, and " in capsys.readouterr().err
    assert (tmp_path / "turntable.mp4").read_text() == "mine"


def test_generated_renderings_say_so(tmp_path):
    write_outputs(tmp_path / "gen", generated_clip(), {}, watermark=None)
    out = tmp_path / "out"
    line = [str(tmp_path / "gen"), "--out", str(out), "--write", "rgbd", "page"]
    assert main(line) == 0
    with av.open(str(out / "rgbd.mp4")) as container:
        assert "synthetic" in container.metadata["comment"]
    assert '"generated":true' in (out / "relief.html").read_text()
