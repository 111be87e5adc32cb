"""A decoded frame becomes what a viewer shows."""

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from preprocess.errors import ClipError, InputError
from preprocess.hdr import HLG, PQ, pq_code, to_bt709
from preprocess.picture import ON_WHITE, laid_on
from preprocess.video import VideoFile
from shards.sample.upright import Turn
from tests.conftest import numbered_frame

ONE = 1 << 16


def write(path, images, codec, pixels, matrix=None, pixel_format="rgb24", options=None):
    """A video of images, of which the display matrix [a, b, c, d] may be given in ones."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        if matrix:
            a, b, c, d = (value * ONE for value in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format=pixel_format)))
        container.mux(stream.encode())
    return path


def shown(path):
    (frame,) = VideoFile(path).read([0])
    return frame


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),  # clockwise, as phones held upright write
        ((0, -1, 1, 0), lambda p: np.rot90(p)),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_all_eight_orientations_of_a_display_matrix(tmp_path, matrix, turn, suffix):
    image = numbered_frame(5)
    frame = shown(write(tmp_path / f"a.{suffix}", [image] * 2, "libx264", "yuv444p", matrix))
    expected = turn(image)
    assert frame.rgb.shape == expected.shape
    assert np.abs(frame.rgb.astype(int) - expected).mean() < 6
    a, b, c, d = matrix
    assert bool(frame.notes) == (a * d - b * c < 0)


def test_a_matrix_that_turns_by_other_than_quarters_shows_the_nearest():
    image = numbered_frame(5)
    np.testing.assert_array_equal(Turn.by(65000, 8000, -8000, 65000).apply(image), image)
    np.testing.assert_array_equal(
        Turn.by(-8000, 65000, -65000, -8000).apply(image), np.rot90(image, -1)
    )


def test_transparent_pixels_are_laid_on_white_in_proportion():
    rgba = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    rgb, laid = laid_on(rgba, 255)
    assert rgb.tolist() == [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]]
    assert laid
    assert not laid_on(rgba[:, :1], 255)[1]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mov", "png", "rgba"),
        ("a.mov", "qtrle", "argb"),
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.avi", "ffv1", "bgra"),
        ("a.webm", "libvpx", "yuva420p"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
    ],
)
def test_what_a_video_hides_under_its_transparency_is_not_shown(tmp_path, name, codec, pixels):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    alpha = np.zeros((64, 96, 1), np.uint8)
    alpha[:, :48] = 255
    noise[:, :48] = (200, 40, 40)
    rgba = np.concatenate([noise, alpha], -1)
    options = {"crf": "4", "b": "0", "auto-alt-ref": "0"} if "libvpx" in codec else {}
    path = write(tmp_path / name, [rgba] * 2, codec, pixels, pixel_format="rgba", options=options)
    frame = shown(path)
    assert frame.notes == (ON_WHITE,)
    assert frame.rgb[4:-4, 52:-4].min() > 250
    assert np.abs(frame.rgb[4:-4, 4:44].astype(int) - (200, 40, 40)).max() < 8


def test_a_video_whose_alpha_is_opaque_is_not_touched(tmp_path):
    rgba = np.dstack([numbered_frame(3), np.full((64, 96), 255, np.uint8)])
    frame = shown(write(tmp_path / "a.mov", [rgba] * 2, "png", "rgba", pixel_format="rgba"))
    np.testing.assert_array_equal(frame.rgb, rgba[..., :3])
    assert frame.notes == ()


COLOURS = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [180, 180, 60]], np.uint8)


def bars(width=96, height=64):
    return np.repeat(np.tile(COLOURS[None], (height, 1, 1)), width // 4, 1)


def tagged(path, rgb, pixels, matrix, **tags):
    """A video of one picture, made with a matrix, that says of its colours what `tags` say."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if "10" in pixels else "libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *rgb.shape[:2], pixels
        stream.options = {} if "10" in pixels else {"crf": "4"}
        for name in ("color_trc", "color_primaries", "colorspace", "color_range"):
            setattr(stream.codec_context, name, tags.get(name, 0 if name == "color_range" else 2))
        kind = "rgb48le" if rgb.dtype == np.uint16 else "rgb24"
        frame = av.VideoFrame.from_ndarray(rgb, format=kind).reformat(
            format=pixels, dst_colorspace=matrix, dst_color_range=tags.get("color_range", 1)
        )
        for _ in range(2):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def middles(rgb):
    width = rgb.shape[1] // 4
    return rgb[rgb.shape[0] // 2, width // 2 :: width].astype(int)


@pytest.mark.parametrize(
    ("size", "matrix", "tags", "note"),
    [
        ((96, 64), Colorspace.ITU601, {}, False),
        ((1280, 64), Colorspace.ITU709, {}, True),
        ((96, 720), Colorspace.ITU709, {}, True),
        ((96, 64), Colorspace.ITU709, {"colorspace": 1}, False),
        ((1280, 64), Colorspace.ITU601, {"colorspace": 6}, False),
        ((96, 64), Colorspace.ITU709, {"colorspace": 1, "color_range": 2}, False),
        ((96, 64), Colorspace.ITU601, {"color_range": 2}, False),
    ],
)
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le"])
def test_colours_by_the_matrix_and_range_that_players_take(
    tmp_path, size, matrix, tags, note, pixels
):
    frame = shown(tagged(tmp_path / "a.mkv", bars(*size), pixels, matrix, **tags))
    assert np.abs(middles(frame.rgb) - COLOURS).max() < 5
    assert ("colour matrix not stated: BT.709 by its size" in frame.notes) == note


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "PQ"), (HLG, "HLG")])
def test_hdr_is_tone_mapped_and_says_so(tmp_path, transfer, name):
    """Greys that BT.2100 puts at known nits come out as `preprocess.hdr` shows those nits."""
    codes = {PQ: pq_code(np.array([5.0, 26, 80, 203])), HLG: np.array([0.2, 0.38, 0.6, 0.75])}
    wide = np.repeat(np.tile(codes[transfer][:, None], (64, 1, 3)), 24, 1)
    rgb = np.round(wide * 65535).astype(np.uint16)
    assert rgb.shape == (64, 96, 3)
    tags = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9}
    path = tagged(tmp_path / "a.mkv", rgb, "yuv420p10le", Colorspace.BT2020, **tags)
    frame = shown(path)
    assert frame.notes == (f"tone-mapped from HDR ({name}) to BT.709",)
    expected = to_bt709(rgb, transfer, 9)
    assert np.abs(middles(frame.rgb) - middles(expected)).max() <= 5


def test_colours_that_cannot_be_shown_are_refused_by_name(tmp_path):
    tags = {"color_trc": PQ, "color_primaries": 9, "colorspace": 14}
    rgb = np.full((64, 96, 3), 30000, np.uint16)
    path = tagged(tmp_path / "a.mkv", rgb, "yuv420p10le", Colorspace.BT2020, **tags)
    with pytest.raises(ClipError, match=r"a\.mkv: the picture's colours are ICtCp"):
        shown(path)


def test_dolby_vision_that_nothing_else_can_show_is_refused_by_name(tmp_path):
    content = write(tmp_path / "a.mp4", [bars()] * 2, "libx264", "yuv420p").read_bytes()
    entry = content.index(b"avc1", content.index(b"stsd"))
    path = tmp_path / "b.mp4"
    path.write_bytes(content[:entry] + b"dvh1" + content[entry + 4 :])
    with pytest.raises(InputError, match=r"b\.mp4 is Dolby Vision of profile 5"):
        VideoFile(path).index()


def moving(time):
    image = np.full((64, 96, 3), 60, np.uint8)
    image[16:48, 4 + 6 * time : 24 + 6 * time] = 220
    return image


@pytest.mark.parametrize("first", ["top", "bottom"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_interlaced_pictures_show_one_moment(tmp_path, codec, first):
    """Frames of two fields, taken one after the other, show the top one alone."""
    top = first == "top"
    woven = []
    for number in range(6):
        early, late = moving(2 * number), moving(2 * number + 1)
        image = early.copy()
        image[1 if top else 0 :: 2] = late[1 if top else 0 :: 2]
        woven.append(image)
    options = {
        "libx264": {"x264-params": f"interlaced=1:{'tff' if top else 'bff'}=1", "crf": "4"},
        "mpeg2video": {"flags": "+ildct+ilme", "qscale": "1", "field_order": "tt" if top else "bb"},
    }
    path = write(tmp_path / "a.mkv", woven, codec, "yuv422p" if codec == "libx264" else "yuv420p",
                 options=options[codec])  # fmt: skip
    whole = list(VideoFile(path).read(range(6)))
    for number, frame in enumerate(whole):
        assert frame.notes == ("interlaced: shown by its top field",)
        shown_time, other_time = 2 * number + (not top), 2 * number + top
        rgb = frame.rgb.astype(int)
        off = np.abs(rgb - moving(shown_time))[20:44].mean()
        assert off < 4, number
        assert off < np.abs(rgb - moving(other_time))[20:44].mean() / 3
    (alone,) = VideoFile(path).read([4])
    np.testing.assert_array_equal(alone.rgb, whole[4].rgb)
