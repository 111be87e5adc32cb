from __future__ import annotations

import errno
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from shards.dataset import open_for_build
from shards.inspect.cli import main
from shards.reader import open_dataset, read_sample
from shards.sample.images import decode_image

KEY = "videos-walk-16"
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from shards.inspect.cli import main; sys.exit(main(sys.argv[1:]))",
]


def _run_json(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, dict]:
    code = main([str(a) for a in argv] + ["--json"])
    return code, json.loads(capsys.readouterr().out)


def test_ls(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", str(dataset)]) == 0
    text = capsys.readouterr().out
    for words in ("4 clips", KEY, "videos-walk-96", "no person", "complete"):
        assert words in text
    code, value = _run_json(capsys, "ls", dataset)
    assert code == 0
    assert value["dataset"]["totals"]["clips"] == 4
    assert value["shards"][0]["tar"] == "train/shard-00000.tar"
    assert value["shards"][0]["samples"][1]["key"] == KEY


def test_stats(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, value = _run_json(capsys, "stats", dataset)
    assert code == 0
    assert value["counts"]["splits"]["train"]["frames"] == 12
    assert sum(m["fraction"] for m in value["modalities"].values()) == pytest.approx(1, abs=1e-4)
    assert value["quality"]["person_coverage"]["mean"] == pytest.approx(2 / 3, abs=1e-5)
    assert value["quality"]["depth_person_flicker"]["clips"] == 4
    assert value["worst"]["pose_jitter"].startswith("videos-walk-")
    assert value["quarantined"] == {"no person": 1}
    assert main(["stats", str(dataset / "val")]) == 0  # a split without a single clip


def test_show(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "sheet.png"
    assert main(["show", str(dataset), "videos-walk-1", "--output", str(target)]) == 0
    assert decode_image(target.read_bytes()).ndim == 3
    assert KEY in capsys.readouterr().out
    _, value = _run_json(capsys, "show", dataset, "--output", target)
    assert value["key"] == "videos-walk-0"  # the first, when none is asked for
    assert main(["show", str(dataset / "val")]) == 2
    assert "has no samples" in capsys.readouterr().err
    assert main(["show", str(dataset), "--output", "a.jpg"]) == 2
    assert "a.jpg: the image is a PNG; name it a.png" in capsys.readouterr().err
    assert main(["show", str(dataset), "--output", str(tmp_path / "nope/a.png")]) == 2
    assert f"there is no folder {tmp_path / 'nope'}" in capsys.readouterr().err
    assert not (tmp_path / "nope").exists()


def test_verify(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(dataset)]) == 0
    assert "no faults" in capsys.readouterr().out
    tar = dataset / "train/shard-00000.tar"
    tar.write_bytes(tar.read_bytes()[:-20000])
    code, value = _run_json(capsys, "verify", dataset)
    assert code == 1
    assert {f["key"] for f in value["faults"]} == {"", KEY}
    assert main(["verify", str(dataset)]) == 1
    assert "train/shard-00000.tar" in capsys.readouterr().out


def test_extract(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, value = _run_json(capsys, "extract", dataset, KEY, out)
    assert code == 0
    members = dict(read_sample(open_dataset(dataset).find(KEY)))
    assert {p.name: p.read_bytes() for p in out.iterdir()} == members
    assert value["files"] == [str(out / name) for name in sorted(members)]
    assert main(["extract", str(dataset), KEY, str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["extract", str(dataset), KEY, str(out), "--force"]) == 0


def test_extract_into_a_file_is_one_clear_line(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["extract", str(dataset), KEY, str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.endswith("file: is a file; choose a folder\n")


def test_extract_replaces_links_and_does_not_follow_them(dataset: Path, tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_bytes(b"precious")
    out.mkdir()
    (out / f"{KEY}.json").symlink_to(victim)
    assert main(["extract", str(dataset), KEY, str(out)]) == 2
    assert main(["extract", str(dataset), KEY, str(out), "--force"]) == 0
    assert victim.read_bytes() == b"precious"
    assert not (out / f"{KEY}.json").is_symlink()


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "k/../../evil.txt"])
def test_extract_refuses_hostile_names_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        for member in ("k.json", name):
            info = tarfile.TarInfo(member)
            info.size = 2
            tar.addfile(info, io.BytesIO(b"{}"))
    out = tmp_path / "deep" / "out"
    assert main(["extract", str(tmp_path / "evil.tar"), "k", str(out)]) == 2
    assert repr(name) in capsys.readouterr().err
    assert [p.name for p in tmp_path.rglob("*")] == ["evil.tar"]


def test_a_hostile_member_behind_a_manifest_is_refused_too(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tar = dataset / "train/shard-00000.tar"
    tar.write_bytes(tar.read_bytes().replace(f"{KEY}.json".encode(), b"../ideos-walk-16.js"))
    assert main(["extract", str(dataset), KEY, str(tmp_path / "out")]) == 1
    assert "shard-00000.tar" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_errors_are_one_line(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv in (
        ["ls", str(tmp_path / "absent")],
        ["show", str(dataset), "videos-walk-17"],
        ["stats", "nowhere://x"],
        ["ls", ""],
        ["extract", str(dataset), KEY, str(dataset / "dataset.json")],
    ):
        assert main(argv) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("idol-shards: ")
        assert err.count("\n") == 1
    assert main(["no-such-command"]) == 2


def test_ctrl_c_and_a_closed_pipe_are_quiet(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **kwargs: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("shards.inspect.commands.ls", interrupted)
    assert main(["ls", str(dataset)]) == 130
    assert capsys.readouterr() == ("", "")
    for arguments in ([], ["--json"]):
        reader, writer = os.pipe()
        os.close(reader)  # before anything is written to it
        process = subprocess.Popen(
            [*COMMAND, "ls", str(dataset), *arguments], stdout=writer, stderr=subprocess.PIPE
        )
        os.close(writer)
        _, err = process.communicate(timeout=100)
        assert (process.returncode, err) == (141, b"")


def test_codecs_do_not_print_what_verify_reports(dataset: Path) -> None:
    tar = dataset / "train/shard-00000.tar"
    data = bytearray(tar.read_bytes())
    data[data.index(b"IDAT", data.index(b".mask.000.png")) + 20] ^= 0xFF
    tar.write_bytes(data)
    done = subprocess.run([*COMMAND, "verify", str(dataset)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be decoded" in done.stdout
    assert done.stderr == ""
    # Our own errors are shown, from `stats` too.
    done = subprocess.run([*COMMAND, "stats", str(dataset)], capture_output=True, text=True)
    assert done.returncode == 1
    assert all(line.startswith("idol-shards: ") for line in done.stderr.splitlines())
    assert done.stderr.count("\n") == 2


def damage(dataset: Path, member: str) -> None:
    """The image data of a member of the first shard is other than it was."""
    tar = dataset / "train/shard-00000.tar"
    data = bytearray(tar.read_bytes())
    data[data.index(b"IDAT", data.index(member.encode())) + 20] ^= 0xFF
    tar.write_bytes(data)


def test_a_damaged_sample_is_named_with_its_shard_and_what_tells_more(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(dataset, f"{KEY}.mask.001.png")
    where = f"{dataset}/train/shard-00000.tar: sample {KEY}: {KEY}.mask.001.png: image"
    out = tmp_path / "out"
    for argv in (["stats"], ["extract", KEY, str(out)], ["show", KEY, "-o", str(out) + ".png"]):
        argv.insert(1, str(dataset))
        assert main(argv) == 1
        err = capsys.readouterr().err
        assert where in err, argv
        assert f"verify {shlex.quote(str(dataset))}` names every fault" in err
    assert not out.exists()
    # The other clips are counted all the same.
    assert main(["stats", str(dataset), "--json"]) == 1
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["counts"]["clips"] == 4
    assert numbers["quality"]["pose_jitter"]["clips"] == 3
    [line] = numbers["damaged"]
    assert line.startswith(where)


def test_a_damaged_tar_header_too(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tar = dataset / "train/shard-00000.tar"
    tar.write_bytes(tar.read_bytes().replace(f"{KEY}.json".encode(), b"?" * len(f"{KEY}.json")))
    for argv in (["stats", str(dataset)], ["extract", str(dataset), KEY, str(tmp_path / "out")]):
        assert main(argv) == 1
        err = capsys.readouterr().err
        assert f"{tar}: sample {KEY}: " in err
        assert "verify" in err


def test_ignored_shards_are_a_fault_but_for_a_build_that_goes_on(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "train/shard-00001.json").write_text("{")
    for arguments in ([], ["--json"]):
        assert main(["ls", str(dataset), *arguments]) == 1
        out, err = capsys.readouterr()
        assert "shard-00001.json" in out
        assert "names every fault" in err
    build = open_for_build(dataset, {"size": 32})
    assert build.info.status == "building"
    assert main(["ls", str(dataset)]) == 0


def test_the_command_that_writes_a_missing_index_is_told(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "index.parquet").unlink()
    assert main(["verify", str(dataset)]) == 1
    assert "is missing: run the same build command again, which" in capsys.readouterr().out
    open_for_build(dataset, {"size": 32}).finish({"train": 2, "val": 1})
    assert main(["verify", str(dataset)]) == 0


def test_a_read_only_folder_is_told_in_words(
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(path: Path, *args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refused)
        assert main(["show", str(dataset), KEY, "-o", str(tmp_path / "a.png")]) == 2
        assert main(["extract", str(dataset), KEY, str(tmp_path / "b")]) == 2
        patched.setattr(Path, "mkdir", refused)
        assert main(["extract", str(dataset), KEY, str(tmp_path / "c")]) == 2
    err = capsys.readouterr().err
    assert err.count("the file system is read-only: choose a folder that can be written to") == 3
    assert "Errno" not in err


@pytest.mark.parametrize("command", ["ls", "stats"])
def test_a_dataset_without_a_shard_that_can_be_used(
    dataset: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    for manifest in dataset.glob("*/shard-*.json"):
        manifest.unlink()
    assert main([command, str(dataset)]) == 1
    assert "3 shards were ignored: `" in capsys.readouterr().err


def test_help_needs_no_heavy_imports() -> None:
    script = (
        "import sys; from shards.inspect.cli import main; code = main(['--help']);"
        "heavy = {'numpy', 'cv2', 'pyarrow', 'fsspec', 'matplotlib'} & sys.modules.keys();"
        "sys.exit(repr(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "verify" in done.stdout
