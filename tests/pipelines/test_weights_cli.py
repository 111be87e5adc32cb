"""`idol-prep weights`: what a user sees of the registry."""

import io
import os

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from pipelines.cli import main
from pipelines.weights_cli import table
from preprocess import weights


@pytest.fixture
def states():
    here = weights.files("lite", "sam/sam_vit_h_4b8939.pth")
    return dict.fromkeys(weights.files(), "absent") | dict.fromkeys(here, "ok")


def lines(states, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(table("/weights", states, width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_list_is_one_line_a_file_where_there_is_room(states):
    shown = lines(states, 160)
    assert len(shown) == 2 + len(states)
    (sam,) = (line.split() for line in shown if "vit_h" in line)
    origin = ["Apache-2.0", "hub:ybelkada/segment-anything@7790786"]
    assert sam == ["sam/sam_vit_h_4b8939.pth", "2.6", "GB", *origin, "ok"]
    (face,) = (line for line in shown if "facenet" in line)
    for part in ("153.7 MB", "non-commercial (CMU)", "hub:lllyasviel/Annotators@982e7ed", "absent"):
        assert part in face


def test_the_list_keeps_names_sizes_and_states_whole_in_80_columns(states):
    shown = lines(states, 80)
    assert max(map(len, shown)) <= 80
    for f, state in states.items():
        (line,) = (line for line in shown if f.name in line.split())
        assert line.endswith(state)
    assert shown.count("non-commercial (CMU); hub:lllyasviel/Annotators@982e7ed") == 1


def test_list_reads_the_folder(tmp_path, capsys):
    path = tmp_path / "lite" / "hand_recrop.tflite"
    path.parent.mkdir()
    path.write_bytes(b"cut")
    assert main(["weights", "list", "--weights", str(tmp_path)]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "hand_recrop" in line)
    assert line.split()[-1] == "damaged"


def test_check_finds_what_list_took_for_the_same(tmp_path, capsys):
    """A file with the old size and time is read by `check` alone."""
    (entry,) = weights.files("bert/config.json")
    path = tmp_path / entry.name
    path.parent.mkdir()
    path.write_bytes(b" " * entry.bytes)
    before = path.stat()
    weights.checksum(entry.name, tmp_path)
    path.write_bytes(b"!" * entry.bytes)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    options = ["--weights", str(tmp_path)]
    assert main(["weights", "list", *options]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if entry.name in line)
    assert line.split()[-1] == "ok"
    assert main(["weights", "check", *options]) == 1
    assert capsys.readouterr().out.splitlines() == ["damaged  bert/config.json"]
    assert main(["weights", "accept", entry.name, *options]) == 0
    assert main(["weights", "check", *options]) == 0


def test_accept_needs_a_name_and_knows_what_is_not_here(tmp_path, capsys):
    assert main(["weights", "accept", "--weights", str(tmp_path)]) == 2
    assert "names of files" in capsys.readouterr().err
    assert main(["weights", "accept", "bert/config.json", "--weights", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "forgotten; it is not here  bert/config.json\n"


def test_what_is_made_here_is_not_fetched(tmp_path, capsys):
    assert main(["weights", "fetch", "hdnet", "--weights", str(tmp_path)]) == 2
    assert "idol-prep weights convert-hdnet CKPT_DIR" in capsys.readouterr().err


def test_to_safetensors_takes_what_needs_no_code(tmp_path, capsys):
    state = {"a": torch.arange(6.0).reshape(2, 3)}
    torch.save({"model": state, "epoch": 1}, tmp_path / "a.pth")
    assert main(["weights", "to-safetensors", str(tmp_path / "a.pth")]) == 2
    assert "'epoch' (int)" in capsys.readouterr().err
    command = ["weights", "to-safetensors", str(tmp_path / "a.pth"), "--nested", "model"]
    assert main(command) == 0
    assert torch.equal(load_file(tmp_path / "a.safetensors")["a"], state["a"])
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["weights", "to-safetensors", "."]) == 2
    assert "there is no file of weights at ." in capsys.readouterr().err
