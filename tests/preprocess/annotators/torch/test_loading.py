"""Weights are read, whoever wrote them; nothing in a file is run, and what is no file says so."""

import argparse
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from preprocess.annotators.torch.loading import load_state, save_state
from preprocess.errors import InputError


@pytest.fixture
def state():
    generator = torch.Generator().manual_seed(0)
    return {
        "body.weight": torch.randn(40, 30, generator=generator),
        "body.bias": torch.randn(40, generator=generator).half(),
        "steps": torch.tensor(7),
    }


def equal(a, b):
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a
    )


def write(kind, content, path):
    match kind:
        case "safetensors":
            save_file(content, path)
        case "zip":
            torch.save(content, path)
        case "legacy":
            torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_every_format_gives_the_same_tensors(kind, state, tmp_path):
    loaded = load_state(write(kind, state, tmp_path / "a.pth"))
    assert equal(loaded, state)
    assert all(value.device.type == "cpu" for value in loaded.values())


def test_tensors_may_be_nested_and_are_unwrapped_by_name_alone(state, tmp_path):
    path = write("zip", {"model": state, "epoch": 3}, tmp_path / "a.pth")
    assert equal(load_state(path, nested="model"), state)
    with pytest.raises(InputError, match=r"a\.pth holds more .*'model' \(dict\), 'epoch' \(int\)"):
        load_state(path)
    with pytest.raises(InputError, match=r"no entry 'state'; it has 'model' \(dict\)"):
        load_state(path, nested="state")
    with pytest.raises(InputError, match=r"the entry 'epoch' of .*a\.pth holds .* one int"):
        load_state(path, nested="epoch")


class Trap:
    def __reduce__(self):
        return (print, ("the trap was sprung",))


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize(
    ("content", "asks_for"),
    [(argparse.Namespace(lr=1), r"argparse\.Namespace"), (Trap(), "print")],
)
def test_a_pickle_that_needs_more_is_refused_and_never_run(
    kind, content, asks_for, state, tmp_path, capsys
):
    path = write(kind, {"model": state, "args": content}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=rf"a\.pth would run code .*{asks_for}.*docs/weights"):
        load_state(path, nested="model")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.999])
def test_a_cut_off_file_says_so(kind, kept, state, tmp_path):
    path = write(kind, state, tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pth"))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match=r"a\.\w+ is (cut off|damaged|no whole)"):
        load_state(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "git-lfs"),
        (b"<!DOCTYPE html>\n<html><body>sign in</body></html>", "web page"),
        (b"nothing of the kind, only text", "no file of weights"),
        (pickle.dumps([1], protocol=2), "is damaged"),
    ],
)
def test_what_is_no_file_of_weights_says_what_it_is(content, message, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_state(path)


def test_what_is_called_safetensors_is_read_as_nothing_else(state, tmp_path):
    path = write("zip", state, tmp_path / "a.pth").rename(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="no whole safetensors file"):
        load_state(path)


def test_other_zip_files_and_absent_files_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as opened:
        opened.writestr("readme.txt", "no weights")
    with pytest.raises(InputError, match=r"a\.pth is damaged"):
        load_state(tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"no file of weights at .*b\.pth"):
        load_state(tmp_path / "b.pth")


def test_saved_tensors_may_share_memory(state, tmp_path):
    shared = state["body.weight"]
    views = {"whole": shared, "row": shared[3], "column": shared[:, 2]}
    save_state(views, tmp_path / "new" / "a.safetensors")
    assert equal(load_state(tmp_path / "new" / "a.safetensors"), views)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.safetensors"]
