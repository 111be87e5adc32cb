"""The dataset card: its header is the hub's, its counts are the dataset's, no text is markup."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from shards.dataset import open_for_build
from shards.inspect.card import is_card
from shards.inspect.cli import main
from shards.manifest import Quarantined
from shards.sample.clip import Clip
from shards.sample.codec import encode_clip
from shards.sample.images import decode_image
from shards.writer import commit_shard

HOSTILE = "</details><script>alert(1)</script> | `x` [a](javascript:1)\n# b"


@pytest.fixture
def licensed(tmp_path: Path, make_clip: Callable[..., Clip]) -> Path:
    weights = {"net.onnx": {"licence": "Apache-2.0", "sha256": "ab" * 32}, HOSTILE: {}}
    root = tmp_path / "walks"
    recipe = {"size": 32, "note": f"```{HOSTILE}"}
    build = open_for_build(root, recipe, software={"idol-video": "0"}, weights=weights)
    for split, numbers in (("train", (0, 3, 6)), ("val", (9,))):
        clips = [make_clip(f"videos-walk-{n}", seed=n) for n in numbers]
        failed = [Quarantined(f"videos-{split}-1", "x", f"found in 3 of 8 frames: {HOSTILE}")]
        samples = [(clip.key, encode_clip(clip)) for clip in clips]
        commit_shard(root, split, 0, samples, failed, fingerprint=build.info.fingerprint)
    build.finish({"train": 1, "val": 1})
    return root


def test_it_says_what_the_dataset_is(licensed: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "README.md"
    argv = ["card", str(licensed), "--output", str(out), "--license", "cc-by-4.0", "--json"]
    assert main(argv) == 0
    written = json.loads(capsys.readouterr().out)
    card = DatasetCard.load(out)
    assert card.data.license == "cc-by-4.0"
    assert card.data.pretty_name == "walks"
    assert card.data.size_categories == ["n<1K"]
    [config] = card.data.configs
    assert config["data_files"] == [
        {"split": split, "path": f"{split}/shard-*.tar"} for split in ("train", "val")
    ]
    text = out.read_text()
    assert "4 clips (12 frames) of 1 videos, in 2 shards" in text
    assert "| `net.onnx` | Apache-2.0 | " + "ab" * 32 in text
    assert "2 clips failed" in text
    assert "found in N of N frames" in text
    for image in written["images"]:
        assert decode_image(Path(image).read_bytes()).shape[1] > 500
        assert f"({Path(image).relative_to(tmp_path)})" in text


def test_texts_of_a_dataset_are_no_markup(licensed: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.md"
    assert main(["card", str(licensed), "-o", str(out), "--name", HOSTILE]) == 0
    assert is_card(out)  # and may be written over
    prose, _, rest = out.read_text().split("---\n", 2)[2].partition("json\n{")
    settings, _, end = rest.partition("\n````\n")
    assert HOSTILE.splitlines()[0] in settings  # in a fence longer than any of its own
    for part in (prose.replace("<details><summary>All settings</summary>", ""), end):
        for line in part.splitlines():
            outside = "".join(line.replace("\\`", "").split("`")[::2])
            assert "<script" not in outside.replace("\\<", "")
            assert "[a](" not in outside
    assert prose.count("\n# ") == 1


def test_what_cannot_be_written_is_one_line(licensed: Path, tmp_path: Path, capsys: Any) -> None:
    for output in ("a.txt", "no/folder/a.md"):
        assert main(["card", str(licensed), "-o", str(tmp_path / output)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "README.md").write_text("# A project\n")
    assert main(["card", str(licensed), "-o", str(tmp_path / "README.md")]) == 2
    assert "is there already, and no card" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "# A project\n"
    build = open_for_build(tmp_path / "empty", {})
    build.finish({})
    assert main(["card", str(tmp_path / "empty"), "-o", str(tmp_path / "a.md")]) == 2
    assert "holds no clips" in capsys.readouterr().err
