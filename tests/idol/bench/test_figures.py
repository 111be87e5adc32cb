"""The like of the paper's figures: what they measure, and that they are drawn of what is there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from idol.bench.claims.errors import ClaimsError
from idol.bench.cli import main
from idol.bench.figures.draw import drawn
from idol.bench.figures.features import seen_by
from idol.bench.figures.hole import border_contrast, open_border
from idol.config.figures import FiguresConfig
from idol.config.train import TrainConfig
from idol.evaluate.cli import main as evaluate
from idol.model import DualModalUNetConfig
from idol.train.train import train
from idol.variants import variant_called
from shards.options import replaced
from shards.sample.clip import Clip
from tests.idol.evaluate.made import dataset, depth, frames, shard_clip, write_folder
from tests.idol.train.micro import MODEL, clip, micro, write_shards

HOLE = np.zeros((16, 16), bool)
HOLE[4:10, 4:10] = True
NOBODY = np.zeros((1, 16, 16), bool)


def test_a_hole_that_is_filled_has_the_contrast_of_the_place() -> None:
    place = np.full((1, 16, 16, 3), 200, np.uint8)
    assert border_contrast(place, HOLE, NOBODY) == 0
    seen = place.copy()
    seen[0, HOLE] = 98
    # The border alone, and all of it: a step of 102 of 255 in each colour.
    assert border_contrast(seen, HOLE, NOBODY) == pytest.approx(0.4)
    inner = place.copy()
    inner[0, 6:8, 6:8] = 0
    assert border_contrast(inner, HOLE, NOBODY) == 0


def test_where_the_person_stands_the_border_is_not_open() -> None:
    assert open_border(HOLE, NOBODY).sum() == 20
    left = NOBODY.copy()
    left[0, :, :8] = True
    found = open_border(HOLE, left)[0]
    assert not found[:, :10].any()  # two pixels further than the person
    assert border_contrast(np.zeros((1, 16, 16, 3), np.uint8), HOLE, ~NOBODY) is None


def test_where_an_inner_corner_alone_is_free_nothing_is_open() -> None:
    hole = HOLE.copy()
    hole[4:7, 4:7] = False  # (7, 7) meets what is outside at a corner
    person = ~NOBODY
    person[0, 5:10, 5:10] = False  # free, but for two pixels around the person: (7, 7)
    frames = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    assert not open_border(hole, person).any()
    assert border_contrast(frames, hole, person) is None


def test_the_edge_of_the_picture_is_no_border() -> None:
    hole = np.zeros((16, 16), bool)
    hole[:, :5] = True
    assert open_border(hole, NOBODY)[0].nonzero()[1].tolist() == [4] * 16
    frames = np.zeros((1, 16, 16, 3), np.uint8)
    frames[..., 15, :] = 255  # would be the neighbour of the first column, were it a ring
    assert border_contrast(frames, hole, NOBODY) == 0


def moving(seed: int) -> Clip:
    """The hole of its background is far from where the person is."""
    made = clip(seed, frames=3, size=32)
    hole = np.zeros((32, 32), np.uint8)
    hole[20:28, 20:28] = 255
    return dataclasses.replace(made, background_mask=hole)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards")
    return write_shards(root, [moving(i) for i in range(3)], [moving(i) for i in range(3, 5)])


def row(claims: Path, shards: Path, name: str) -> None:
    """A row of a seed, trained for two steps and sampled in one, where claims would have it."""
    output = claims / "runs/0" / name
    variant = variant_called(name)
    model: dict[str, Any] = {"cross_modal_attention": "block_end", **variant.model}
    settings = DualModalUNetConfig(**{**MODEL.to_dict(), **model})
    config = micro("video", shards, output / "video", steps=2, size=32, model=settings)
    config = dataclasses.replace(config, variant=name)
    whole: TrainConfig = replaced(config, variant.settings("video"))
    train(whole)
    options = ["--model", str(output / "video"), "--shards", str(shards), "--steps", "1"]
    options += ["--out", str(output / "scored"), "--pose", "none", "--device", "cpu"]
    assert evaluate(["run", *options, "--no-score"]) == 0


@pytest.mark.slow
def test_figures_are_drawn_of_what_is_there_and_say_what_is_not(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claims, out = tmp_path / "claims", tmp_path / "figures"
    for name in ("cross-modal-attention", "idol", "hap"):
        row(claims, shards, name)
    command = ["figures", "--claims", str(claims), "--out", str(out), "--shards", str(shards)]
    assert main(command) == 0
    assert {file.name for file in out.iterdir()} == {
        "figures.json", "fig3.png", "fig4.png", "fig8.png",
    }  # fmt: skip
    said = json.loads((out / "figures.json").read_text())
    assert said["fig4"]["clips"] == 2
    assert said["fig4"]["border_contrast"].keys() == {"true", "hap", "idol"}
    assert said["fig5"]["absent"] == [
        "disco@autoencoder", "ldm3d@autoencoder", "mm-diffusion@autoencoder", "idol@autoencoder",
    ]  # fmt: skip
    assert said["fig8"] == {
        "clips": ["videos-box-3", "videos-box-4"],
        "rows": ["cross-modal-attention", "idol"],
        "absent": ["separate-unets"],
    }
    printed = capsys.readouterr().out
    assert f"{out / 'fig3.png'}\n" in printed
    assert "fig5: not drawn, for there is no disco@autoencoder" in printed
    # The same once more: the pictures are functions of what is there.
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert drawn(FiguresConfig(claims=claims, out=out, shards=shards)) == said
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    picture = cv2.imread(str(out / "fig4.png"))
    assert picture is not None
    assert picture.std() > 10

    seen = seen_by(claims / "runs/0/idol/video", str(shards))
    assert seen.key == "videos-box-3"
    assert seen.features["video"].shape == (2, 8, 8, 3)
    assert seen.motion["depth"].shape == (1, 8, 8, 3)
    assert len(seen.differences) == said["fig3"]["clips"] == 2
    assert all(difference > 0 for difference in seen.differences)
    assert all(0 < relative < 2 for relative in seen.relative)
    assert said["fig3"]["motion_difference"]["with"] == np.mean(seen.differences)
    assert said["fig3"]["relative_difference"]["with"] == np.mean(seen.relative)


def test_what_is_not_drawn_is_said_and_its_old_picture_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claims, out = tmp_path / "claims", tmp_path / "figures"
    shards = dataset(tmp_path / "shards", videos=2, clips=1)
    rows = claims / "runs/0"

    def generated(row: str, key: str) -> None:
        write_folder(rows / row / "scored/clips" / key, frames(1), depth())

    generated("separate-unets", "videos-v0-0")
    generated("idol", "videos-v1-0")
    out.mkdir()
    for number in (3, 5, 8):
        (out / f"fig{number}.png").touch()
    command = ["figures", "--claims", str(claims), "--out", str(out), "--shards", str(shards)]
    assert main(command) == 0
    assert len(list(out.iterdir())) == 4  # these are not its own
    capsys.readouterr()
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "fig3: not drawn, for there is no cross-modal-attention, idol\n" in printed
    assert "fig8: not drawn, for no clip is in all rows\n" in printed
    assert [file.name for file in out.iterdir()] == ["figures.json"]
    generated("idol", "videos-v0-0")
    assert main(command) == 0
    assert f"{out / 'fig8.png'}\n" in capsys.readouterr().out
    assert (out / "fig8.png").stat().st_size > 0
    generated("hap", "videos-elsewhere-0")
    assert main(command) == 2
    error = capsys.readouterr().err
    assert f"{shards} has none of the clips in {rows / 'hap'}" in error
    assert "videos-elsewhere-0" in error


def test_clips_are_those_of_the_split_that_was_scored(tmp_path: Path) -> None:
    claims, rows = tmp_path / "claims", tmp_path / "claims/runs/0"
    shards = write_shards(tmp_path / "shards", [shard_clip(0, "a")], [shard_clip(1, "b")])
    for name in ("separate-unets", "idol"):  # of the people held out, which have a split val too
        write_folder(rows / name / "scored/clips/videos-a-0", frames(1), depth())
    said = {"schema": 3, "tables": {}, "scored": str(shards), "scored_split": "train"}
    (claims / "claims.json").write_text(json.dumps(said))
    found = drawn(FiguresConfig(claims=claims, out=tmp_path / "out"))
    assert found["fig8"]["clips"] == ["videos-a-0"]


@pytest.mark.parametrize("said", ["{}", "{", "[]"])
def test_claims_that_do_not_name_their_dataset_are_told(tmp_path: Path, said: str) -> None:
    (tmp_path / "runs" / "0").mkdir(parents=True)
    (tmp_path / "claims.json").write_text(said)
    with pytest.raises(ClaimsError, match=r"claims\.json does not say which dataset.*--shards"):
        drawn(FiguresConfig(claims=tmp_path, out=tmp_path / "out"))


def test_without_runs_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ClaimsError, match="does not exist"):
        drawn(FiguresConfig(claims=tmp_path, out=tmp_path / "out"))
