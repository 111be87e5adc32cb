"""An image file becomes what a viewer shows, or is refused as damaged."""

import io
import os
import struct
import subprocess
import sys
import threading
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from preprocess.errors import ClipError
from preprocess.picture import ON_WHITE
from preprocess.stills import decode_image, jpeg_damage
from shards.command import native_errors_hidden
from shards.files.native_stderr import silent_stderr
from shards.sample.images import declared_size
from tests.conftest import numbered_frame


def encoded(image, form, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        buffer, form, **options
    )
    return buffer.getvalue()


def textured(width=160, height=128):
    """Something that a damaged entropy code garbles."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [127 + 100 * np.sin(x / (3 + k) + y / (9 - k)) for k in range(3)]
    return np.stack(waves, -1).astype(np.uint8)


def shown(content, **options):
    return decode_image(content, "a", **options)


def turned(image, orientation):
    """As EXIF's table has it: where row 0 and column 0 of what is stored are shown."""
    return {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.transpose(1, 0, 2),
        6: np.rot90(image, -1),
        7: image[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(image),
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("JPEG", "RGB"),
        *((form, mode) for form in ("PNG", "WEBP", "TIFF", "AVIF") for mode in ("RGB", "RGBA")),
    ],
)
def test_exif_orientations(form, mode, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    options = {} if form in ("PNG", "TIFF") else {"quality": 95}
    image = numbered_frame(5)
    content = encoded(Image.fromarray(image).convert(mode), form, exif=exif, **options)
    rgb, _ = shown(content)
    expected = turned(image, orientation)
    assert rgb.shape == expected.shape
    assert np.abs(rgb.astype(int) - expected).mean() < 4


def cut_out(mode="RGBA"):
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    noise[:, :24] = (200, 40, 40)
    alpha = np.zeros((32, 48), np.uint8)
    alpha[:, :24] = 255
    image = Image.fromarray(np.dstack([noise, alpha]))
    return image.convert(mode) if mode != "RGBA" else image


def palette():
    image = Image.fromarray(np.repeat([[0, 1]], 32, 0).repeat(24, 1).astype(np.uint8), "P")
    image.putpalette([200, 40, 40, 10, 20, 30])
    return image


def sixteen_bits():
    """A PNG of 16 bits a channel with alpha, which Pillow reads and does not write."""
    rgba = np.asarray(cut_out()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in rgba)

    def chunk(kind, body):
        return (
            len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        )

    header = (48).to_bytes(4, "big") + (32).to_bytes(4, "big") + bytes([16, 6, 0, 0, 0])
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


TRANSPARENT = {
    "png": lambda: encoded(cut_out(), "PNG"),
    "grey png": lambda: encoded(cut_out("LA"), "PNG"),
    "webp": lambda: encoded(cut_out(), "WEBP", lossless=True),
    "webp that keeps what is hidden": lambda: encoded(cut_out(), "WEBP", lossless=True, exact=True),
    "tiff": lambda: encoded(cut_out(), "TIFF"),
    "tga": lambda: encoded(cut_out(), "TGA"),
    "tga of runs": lambda: encoded(cut_out(), "TGA", compression="tga_rle"),
    "grey tga": lambda: encoded(cut_out("LA"), "TGA"),
    "avif": lambda: encoded(cut_out(), "AVIF", quality=100),
    "palette": lambda: encoded(palette(), "PNG", transparency=1),
    "gif": lambda: encoded(palette(), "GIF", transparency=1),
    "16 bits": sixteen_bits,
    "one colour": lambda: encoded(palette().convert("RGB"), "PNG", transparency=(10, 20, 30)),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_what_an_image_hides_under_its_transparency_is_not_shown(name):
    rgb, notes = shown(TRANSPARENT[name]())
    assert rgb.shape == (32, 48, 3)
    assert rgb[:, 28:].min() > 250
    assert ON_WHITE in notes
    left = rgb[4:-4, 4:20].astype(int)
    assert np.abs(left - (87 if name.startswith("grey") else (200, 40, 40))).max() < 8


@pytest.mark.parametrize("name", TRANSPARENT)
def test_a_transparent_mask_is_zero_where_it_is_transparent(name):
    assert shown(TRANSPARENT[name](), data=True)[0][:, 28:].max() < 5


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_byte_that_a_tga_does_not_call_transparency_is_none(mode):
    content = bytearray(encoded(cut_out(mode), "TGA"))
    content[17] &= 0xF0
    rgb, notes = shown(bytes(content))
    np.testing.assert_array_equal(rgb, np.asarray(cut_out(mode).convert("RGB")))
    assert notes == ()


def test_channels_and_depths():
    grey = np.full((4, 4), 128, np.uint8)
    assert shown(encoded(grey, "PNG"))[0][0, 0].tolist() == [128] * 3
    assert shown(encoded(grey, "JPEG"))[0][0, 0].tolist() == [128] * 3
    deep = encoded(np.full((4, 4), 0x8000, np.uint16), "PNG")
    assert shown(deep)[0][0, 0].tolist() == [128] * 3
    assert shown(encoded(np.full((4, 4), 0x8000, np.uint16), "TIFF"))[0][0, 0].tolist() == [128] * 3
    bits = Image.fromarray(np.eye(8, dtype=bool))
    for form in ("PNG", "TIFF", "BMP"):
        assert (shown(encoded(bits, form))[0][..., 0] == 255 * np.eye(8)).all()
    with pytest.raises(ClipError, match="numbers of 32 bits"):
        shown(encoded(np.ones((4, 4), np.float32), "TIFF"))


def test_cmyk_is_shown_in_its_colours():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow: red
    for form in ("JPEG", "TIFF"):
        rgb, notes = shown(encoded(image, form))
        assert np.abs(rgb[8, 8].astype(int) - (255, 0, 0)).max() < 6, form
        assert notes == ("converted from CMYK to sRGB",)


DISPLAY_P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)


def profile_of(primaries):
    """An ICC profile of these primaries, D65 white and gamma 2.2, of the fewest tags."""
    xy = np.array(primaries).reshape(3, 2)
    columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(3), (1 - xy.sum(1)) / xy[:, 1]])
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    xyz = columns * np.linalg.solve(columns, white)
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    d50 = np.array([0.9642, 1, 0.8249])
    adapt = np.linalg.inv(bradford) @ np.diag(bradford @ d50 / (bradford @ white)) @ bradford
    adapted = adapt @ xyz

    def fixed(values):
        return b"".join(round(v * 65536).to_bytes(4, "big", signed=True) for v in values)

    tags = {b"rXYZ": adapted[:, 0], b"gXYZ": adapted[:, 1], b"bXYZ": adapted[:, 2], b"wtpt": d50}
    bodies = {tag: b"XYZ \0\0\0\0" + fixed(values) for tag, values in tags.items()}
    curve = b"curv\0\0\0\0" + (1).to_bytes(4, "big") + round(2.2 * 256).to_bytes(2, "big") + b"\0\0"
    bodies |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    name = b"Wide P3\0"
    bodies[b"desc"] = b"desc\0\0\0\0" + len(name).to_bytes(4, "big") + name + bytes(78 + 2)
    offset, table, body = 132 + 12 * len(bodies), b"", b""
    for tag, content in bodies.items():
        content += bytes(-len(content) % 4)
        table += tag + (offset + len(body)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        body += content
    header = bytearray(128)
    header[0:4] = (offset + len(body)).to_bytes(4, "big")
    header[8:12], header[12:24], header[36:40] = b"\2\x40\0\0", b"mntrRGB XYZ ", b"acsp"
    header[68:80] = fixed(d50)
    return bytes(header) + len(bodies).to_bytes(4, "big") + table + body


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_colours_of_display_p3_become_those_of_srgb(form):
    """By the primaries: P3's red of half its strength is outside of sRGB in its first channel."""
    half = 255 * 0.5 ** (1 / 2.2)
    stored = np.tile(np.uint8([half, half, 0]), (32, 32, 1))
    content = encoded(stored, form, icc_profile=profile_of(DISPLAY_P3))
    rgb, notes = shown(content)
    assert notes == ("converted from Wide P3 to sRGB",)
    # Linear P3 (.5, .5, 0) is (.5, .5, -.06) in sRGB: the yellow stays, blue is clipped at 0.
    assert np.abs(rgb[16, 16].astype(int) - (187, 187, 0)).max() < 12
    red = encoded(np.tile(np.uint8([200, 120, 120]), (32, 32, 1)), "PNG",
                  icc_profile=profile_of(DISPLAY_P3))  # fmt: skip
    # 200, 120, 120 in P3, by the matrix of the two spaces, is 212, 116, 118 in sRGB.
    assert np.abs(shown(red)[0][16, 16].astype(int) - (212, 116, 118)).max() < 5
    assert shown(red, data=True)[0][16, 16].tolist() == [200, 120, 120]


def test_srgb_profiles_and_broken_ones_change_nothing():
    plain = encoded(textured(), "JPEG")
    for profile in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"junk"):
        rgb, notes = shown(encoded(textured(), "JPEG", icc_profile=profile))
        assert notes == ()
        np.testing.assert_array_equal(rgb, shown(plain)[0])


def jpeg(**options):
    return encoded(textured(), "JPEG", quality=90, **options)


def damaged(content, how):
    """A JPEG with its entropy-coded data damaged in the middle."""
    middle = len(content) // 2
    if how == "lost bytes":
        return content[:middle] + content[middle + 300 :]
    if how == "zeros":
        return content[:middle] + bytes(900) + content[middle + 900 :]
    if how == "cut off":
        return content[:middle]
    if how == "cut off, then zeros":
        return content[:middle] + bytes(middle)
    assert how == "cut off, then the end marker"
    return content[:middle] + b"\xff\xd9"


HOWS = (
    *("lost bytes", "zeros", "cut off", "cut off, then zeros"),
    "cut off, then the end marker",
)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", ["baseline", "progressive", "restarts"])
def test_jpegs_that_a_decoder_only_warns_of_are_refused(how, kind):
    options = {"progressive": {"progressive": True}, "restarts": {"restart_marker_rows": 1}}
    whole = jpeg(**options.get(kind, {}))
    shown(whole)
    with pytest.raises(ClipError, match=r"^a (is damaged|is cut off|is not an image)"):
        shown(damaged(whole, how))


def test_a_lost_restart_marker_is_damage():
    whole = jpeg(restart_marker_rows=1)
    at = whole.index(b"\xff\xd3")
    with pytest.raises(ClipError, match="is damaged: Corrupt JPEG data"):
        shown(whole[:at] + whole[at + 2 :])


def test_what_does_no_harm_to_a_jpeg_is_allowed():
    whole = jpeg()
    expected = shown(whole)[0]
    scan = whole[:-2]
    for harmless in (
        whole + bytes(200),
        whole + b"<html>not found</html>",
        whole + whole,  # such as the second picture of a phone's MPO
        scan,  # the end marker alone is missing
        scan + b"\0\0\0\xff\xd9",  # padding, as webcams write
        whole.replace(b"JFIF\0\1\1", b"JFIF\0\7\1", 1),  # an unknown revision
    ):
        np.testing.assert_array_equal(shown(harmless)[0], expected)


def test_complaints_of_other_images_and_threads_are_not_this_images(capfd):
    from concurrent.futures import ThreadPoolExecutor

    whole, broken = jpeg(), damaged(jpeg(), "lost bytes")

    def attempt(content):
        try:
            return shown(content)[0].shape
        except ClipError:
            return None

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(attempt, [whole, broken] * 40))
    assert results == [(128, 160, 3), None] * 40
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("hidden", [silent_stderr, native_errors_hidden])
def test_who_silences_stderr_meanwhile_gives_it_back(monkeypatch, hidden):
    inside, leave = threading.Event(), threading.Event()
    decode = cv2.imdecode

    def slow(*what):
        inside.set()
        leave.wait(60)
        return decode(*what)

    monkeypatch.setattr(cv2, "imdecode", slow)
    before = os.fstat(2)
    reading = threading.Thread(target=jpeg_damage, args=(jpeg(),))
    with hidden():
        reading.start()
        inside.wait(0.3)  # it is not let in
    leave.set()
    reading.join()
    assert os.path.samestat(os.fstat(2), before)


def test_nothing_is_left_open_when_python_ends():
    code = "from preprocess.stills import jpeg_damage; print(repr(jpeg_damage(b'x')))"
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("''\n", "")


OTHERS = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "GIF": {},
    "BMP": {},
    "AVIF": {},
    "JPEG2000": {},
    "TGA": {},
}


@pytest.mark.parametrize("form", OTHERS)
def test_other_images_that_are_cut_off_are_refused(form):
    whole = encoded(textured(), form, **OTHERS[form])
    shown(whole)
    for share in (0.3, 0.7, 0.97):
        with pytest.raises(ClipError, match=r"^a "):
            shown(whole[: int(len(whole) * share)])


def test_a_png_with_a_wrong_checksum_is_refused_whatever_its_pixels():
    for mode in ("RGB", "RGBA"):
        content = bytearray(encoded(Image.fromarray(textured()).convert(mode), "PNG"))
        content[len(content) // 2] ^= 0x55
        with pytest.raises(ClipError, match="is damaged"):
            shown(bytes(content))


def test_several_images_in_a_file_are_said():
    first, second = Image.fromarray(numbered_frame(1)), Image.fromarray(numbered_frame(2))
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if form == "WEBP" else {}
        content = encoded(first, form, save_all=True, append_images=[second], **options)
        rgb, notes = shown(content)
        assert notes == ("the first of several images in its file",), form
        assert np.abs(rgb.astype(int) - numbered_frame(1)).mean() < 12, form


def test_what_is_no_image_is_named():
    for content in (b"", b"<html></html>" * 20, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"):
        with pytest.raises(ClipError, match=r"^a "):
            shown(content)


@pytest.mark.parametrize(
    ("options", "at", "size"),
    [
        ({}, 26, struct.pack("<HH", 16200, 8400)),
        ({"lossless": True}, 21, (16199 | 8399 << 14).to_bytes(4, "little")),
        ({"exif": b"Exif\0\0and more"}, 24, (16199 | 8399 << 24).to_bytes(6, "little")),
    ],
)
def test_a_webp_of_too_many_pixels_is_refused_before_it_is_decoded(options, at, size):
    content = encoded(textured(), "WEBP", **options)
    assert declared_size(content) == (160, 128)
    huge = content[:at] + size + content[at + len(size) :]
    with pytest.raises(ClipError, match="a is 16200x8400, more than"):
        shown(huge)
