"""The registry is complete, and the names that others use are in it."""

from pathlib import Path

import pytest

from preprocess import weights
from preprocess.annotators.hdnet.spec import WEIGHTS
from preprocess.errors import InputError
from preprocess.weights import Hub, MadeHere, Member


def test_every_entry_is_complete():
    names = [f.name for f in weights.REGISTRY]
    assert len(set(names)) == len(names)
    for f in weights.REGISTRY:
        assert f.licence
        assert f.what
        assert f.name.count("/") >= 1
        assert f.bytes is None or f.bytes > 0
        for stated in f.stated:
            assert set(stated.digits) <= set("0123456789abcdef")
            assert len(stated.digits) <= {"sha256": 64, "md5": 32}[stated.algorithm]


def test_packages_are_pinned_by_checksum_and_members_have_one():
    members = [f for f in weights.REGISTRY if isinstance(f.source, Member)]
    assert {f.group for f in members} == {
        "lite",
        "footage",
        "i3d",
        "inception",
        "rivagan",
    }
    for f in members:
        assert isinstance(f.source, Member)
        assert len(f.source.package.sha256) == 64
        assert f.sha256
        assert f.bytes


def test_hub_files_are_pinned_to_a_commit():
    hub = [f.source for f in weights.REGISTRY if isinstance(f.source, Hub)]
    assert hub
    assert all(len(source.revision) == 40 for source in hub)


def test_what_a_file_name_says_agrees_with_the_rest():
    """SAM's publisher puts digits of the MD5 into the name, MiDaS' those of the SHA-256."""
    sams = weights.files("sam")
    assert [f.stated[0].digits for f in sams] == ["4b8939", "0b3195", "01ec64"]
    assert all(f.stated[0].digits in f.name and f.sha256 for f in sams)
    (midas,) = weights.files("midas")
    prefix, whole = midas.stated
    assert prefix.digits in midas.name
    assert whole.digits.startswith(prefix.digits)
    assert midas.sha256 == whole.digits


def test_the_names_that_annotators_use():
    groups = {
        "sam": {"sam_vit_h_4b8939.pth", "sam_vit_l_0b3195.pth", "sam_vit_b_01ec64.pth"},
        "groundingdino": {"groundingdino_swint_ogc.pth"},
        "openpose": {"body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"},
        "dwpose": {"yolox_l.onnx", "dw-ll_ucoco_384.onnx"},
        "midas": {"dpt_hybrid-midas-501f0c75.pt"},
        "bert": {
            *("config.json", "vocab.txt"),
            *("tokenizer.json", "tokenizer_config.json"),
        },
    }
    for group, files in groups.items():
        assert {f.name for f in weights.files(group)} == {f"{group}/{file}" for file in files}
    (hdnet,) = weights.files("hdnet")
    assert hdnet == WEIGHTS
    assert isinstance(hdnet.source, MadeHere)


def test_hub_addresses_follow_the_chosen_endpoint(monkeypatch):
    source = Hub("owner/name", "abc", "unet/a b.bin")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert source.url == "https://huggingface.co/owner/name/resolve/abc/unet/a%20b.bin"
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert source.url == "https://mirror.example/owner/name/resolve/abc/unet/a%20b.bin"


def test_every_address_is_encrypted():
    urls = [f.source.url for f in weights.REGISTRY if isinstance(f.source, Hub)]
    assert all(url.startswith("https://") for url in urls)


def test_unknown_names_list_the_groups():
    with pytest.raises(InputError, match="footage, groundingdino"):
        weights.files("nonsense")


def test_the_folder_is_the_option_else_the_variable_else_the_cache(monkeypatch):
    monkeypatch.setenv("IDOL_WEIGHTS", "/from/variable")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert weights.folder("/option") == Path("/option")
    assert weights.folder() == Path("/from/variable")
    monkeypatch.delenv("IDOL_WEIGHTS")
    assert weights.folder() == Path("/cache/idol/weights")
