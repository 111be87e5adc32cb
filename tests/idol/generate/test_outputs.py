"""What a run writes can be read by others, says what it is, and is whole or not there."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenEXR
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from idol.generate.c2pa import Signer, signed_by
from idol.generate.errors import GenerationError
from idol.generate.outputs import enlargement, write_outputs
from idol.generate.watermark import Watermark, detect
from idol.mp4 import Mp4Error, mp4_writer
from shards.files.digest import sha256_file
from shards.sample.colormap import grey_to_depth
from shards.sample.images import decode_image
from tests.idol.generate.certificates import MAIL, certificate
from tests.idol.generate.pictures import generated_clip

VIDEOS = ("video.mp4", "depth.mp4", "side_by_side.mp4")


def read(path: Path) -> tuple[np.ndarray, Fraction, dict[str, str]]:
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        return np.stack(frames), rate, dict(container.metadata)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    clip = generated_clip()
    result = write_outputs(folder, clip, {"seed": 3}, watermark=Watermark.load(every=8))
    return folder, clip, result


def test_all_files_are_there_and_in_the_report(written):
    folder, _, result = written
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    depth = {f"depth/{t:05d}.{kind}" for t in range(3) for kind in ("png", "exr")}
    assert names == {*VIDEOS, *depth, "sheet.png", "report.json"}
    report = json.loads((folder / "report.json").read_bytes())
    assert report == {"seed": 3, **result}
    assert names - {"report.json"} == set(report["files"])
    for name, file in report["files"].items():
        assert file["sha256"] == sha256_file(folder / name)
    assert report["watermark"]["every"] == 8
    assert report["watermark"]["read_back"]["marked"]


def test_the_videos_show_the_frames_and_say_that_they_are_generated(written):
    folder, clip, _ = written
    sides = {"video.mp4": 256, "depth.mp4": 256, "side_by_side.mp4": 512}
    for name, width in sides.items():
        frames, rate, metadata = read(folder / name)
        assert frames.shape == (3, 256, width, 3)
        assert rate == Fraction(25, 2)
        assert "Generated" in metadata["comment"]
        assert "synthetic" in metadata["comment"]
    both, _, _ = read(folder / "side_by_side.mp4")
    small = both.reshape(3, 64, 4, 128, 4, 3).mean((2, 4))
    given = np.concatenate([clip.frames, clip.depth_pictures], axis=2)
    assert np.abs(small - given).mean() < 4  # blurred by the enlargement and by H.264


@pytest.mark.parametrize("colour", [(200, 30, 30), (30, 200, 30), (30, 30, 200), (255, 255, 255)])
def test_colours_stay(tmp_path, colour):
    with mp4_writer(tmp_path / "flat.mp4", 64, 64, 25, "flat") as add:
        add(np.full((64, 64, 3), colour, np.uint8))
    np.testing.assert_allclose(read(tmp_path / "flat.mp4")[0].mean((0, 1, 2)), colour, atol=4)


def test_the_same_frames_give_the_same_mp4(tmp_path: Path) -> None:
    """With AVX-512 x264 made two files in five differ, the more so after other work of memory."""
    random = np.random.default_rng(0)
    steps = random.normal(0, 9, (24, 32, 32, 3))
    frames = np.clip(steps.cumsum(2) + 128, 0, 255).astype(np.uint8)
    made = set()
    for _ in range(40):
        filled = [np.full(int(n), 255, np.uint8) for n in random.integers(1, 200_000, 10)]
        with mp4_writer(tmp_path / "a.mp4", 32, 32, 12, "a") as add:
            for frame in frames:
                add(frame)
        made.add((tmp_path / "a.mp4").read_bytes())
        del filled
    assert len(made) == 1


def test_mp4s_have_even_sides(tmp_path):
    with (
        pytest.raises(Mp4Error, match="even sides"),
        mp4_writer(tmp_path / "odd.mp4", 63, 64, 25, "odd"),
    ):
        pass


def test_the_mark_is_in_the_videos_that_show_people(written):
    folder, _, _ = written
    for name in ("video.mp4", "side_by_side.mp4"):
        assert detect(read(folder / name)[0][1:2]).marked


def test_what_holds_no_mark_is_said(tmp_path, caplog):
    flat = dataclasses.replace(generated_clip(1), frames=np.full((1, 64, 64, 3), 255, np.uint8))
    result = write_outputs(tmp_path, flat, {}, watermark=Watermark.load())
    assert not result["watermark"]["read_back"]["marked"]
    assert "too flat" in caplog.text


def test_without_a_mark_there_is_none(tmp_path):
    result = write_outputs(tmp_path / "out", generated_clip(2), {}, watermark=None)
    assert result["watermark"] is None
    assert not detect(read(tmp_path / "out" / "video.mp4")[0]).marked


def test_depth_comes_back_from_both_formats(written):
    folder, clip, _ = written
    for t, depth in enumerate(clip.depth):
        grey = decode_image((folder / f"depth/{t:05d}.png").read_bytes())
        assert grey.dtype == np.uint16
        np.testing.assert_allclose(grey_to_depth(grey), depth, atol=8e-6)
        with OpenEXR.File(str(folder / f"depth/{t:05d}.exr")) as opened:
            channels = {name: c.pixels for name, c in opened.channels().items()}
            assert "relative" in opened.header()["comments"]
        np.testing.assert_array_equal(channels["Z"], depth)
        np.testing.assert_array_equal(channels["confidence"], clip.confidence[t])
        assert "metres" not in channels


def test_metres_are_written_where_they_are_known(tmp_path):
    metres = np.linspace(1, 2, 64 * 64, dtype=np.float32).reshape(1, 64, 64)
    metres[0, 0, 0] = np.nan
    clip = generated_clip(1, metres=metres)
    write_outputs(tmp_path, clip, {}, watermark=None)
    with OpenEXR.File(str(tmp_path / "depth/00000.exr")) as opened:
        np.testing.assert_array_equal(opened.channels()["metres"].pixels, metres[0])


def test_the_same_clip_gives_the_same_bytes(written, tmp_path):
    folder, clip, result = written
    again = write_outputs(tmp_path / "b", clip, {"seed": 3}, watermark=Watermark.load(every=8))
    assert again == result
    there, here = (f / "report.json" for f in (folder, tmp_path / "b"))
    assert there.read_bytes() == here.read_bytes()


def test_a_run_replaces_the_one_before(tmp_path):
    write_outputs(tmp_path, generated_clip(3), {}, watermark=None)
    (tmp_path / "mine.txt").write_text("stays")
    write_outputs(tmp_path, generated_clip(2), {}, watermark=None)
    assert sorted(p.name for p in (tmp_path / "depth").glob("*.png")) == ["00000.png", "00001.png"]
    assert (tmp_path / "mine.txt").read_text() == "stays"


def test_what_is_stopped_leaves_the_folder_as_it_was(tmp_path):
    write_outputs(tmp_path, generated_clip(2), {"run": 1}, watermark=None)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_outputs(tmp_path, generated_clip(2), {"run": 2}, watermark=None, on_frame=stop)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("size", "factor"), [(64, 4), (96, 3), (128, 2), (192, 2), (256, 1), (512, 1)]
)
def test_small_frames_are_enlarged_by_whole_numbers(size, factor):
    assert enlargement(size) == factor


# --- signatures


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_signed_videos_say_who_made_them_and_that_they_are_generated(tmp_path, kind):
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "ec"
        else rsa.generate_private_key(65537, 2048)
    )
    signer = Signer.load(*certificate(tmp_path / "pem", key, MAIL))
    out = tmp_path / "out"
    result = write_outputs(out, generated_clip(2), {}, watermark=None, c2pa=signer)
    assert result["c2pa"] == {"algorithm": {"ec": "es256", "rsa": "ps256"}[kind]}
    for name in VIDEOS:
        claim = signed_by(out / name)
        assert claim == {"issuer": "Signer of a test", "state": "Valid", "generated": True}
        assert result["files"][name]["sha256"] == sha256_file(out / name)
        assert len(read(out / name)[0]) == 2  # and it still opens
    changed = bytearray((out / "video.mp4").read_bytes())
    changed[-20] ^= 1
    (tmp_path / "changed.mp4").write_bytes(changed)
    claim = signed_by(tmp_path / "changed.mp4")
    assert claim is None or claim["state"] == "Invalid"


def test_what_is_not_signed_says_nothing(written, tmp_path):
    folder, _, _ = written
    assert signed_by(folder / "video.mp4") is None
    (tmp_path / "no.mp4").write_bytes(b"no video")
    assert signed_by(tmp_path / "no.mp4") is None


def test_unfit_certificates_are_refused_before_anything_is_generated(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    cert, private = certificate(tmp_path / "a", key, MAIL)
    other = certificate(tmp_path / "b", ec.generate_private_key(ec.SECP256R1()), MAIL)[1]
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    weak = certificate(tmp_path / "c", rsa.generate_private_key(65537, 1024), MAIL)
    for chain, given, message in (
        (tmp_path / "none.pem", private, "none.pem cannot be read"),
        (private, private, "no PEM certificate"),
        (cert, cert, "no PEM private key"),
        (cert, other, "is not the key of"),
        (cert, locked, "passphrase"),
        (*weak, "RSA of 2048"),
    ):
        with pytest.raises(GenerationError, match=message):
            Signer.load(chain, given)
