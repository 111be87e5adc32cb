"""`bench/posed_picture.py`: the picture is the person of the clip, where its poses are."""

from __future__ import annotations

import json
from pathlib import Path

from bench.posed_picture import main, picture
from idol.evaluate.images import psnr
from shards import open_dataset

EXAMPLES = Path(__file__).parents[3] / "examples" / "people-128.tar"


def test_it_shows_the_person_in_each_frame() -> None:
    """Nearer to the truth than the place alone, and nearly right in the first frame."""
    for clip in open_dataset(EXAMPLES).clips():
        laid = picture(clip)
        assert laid.shape == clip.rgb.shape
        assert clip.mask is not None
        assert clip.background is not None
        there = clip.mask > 127
        with_it = psnr(laid[there], clip.rgb[there])
        assert with_it > 20
        assert with_it > 2 + psnr(
            clip.background[None].repeat(len(laid), 0)[there], clip.rgb[there]
        )
        assert psnr(laid[0][there[0]], clip.rgb[0][there[0]]) > 27


def test_its_scores_lie_where_they_can_be_compared(tmp_path: Path) -> None:
    assert main([str(EXAMPLES), "--out", str(tmp_path), "--metrics", "psnr"]) == 0
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert set(scores["metrics"]) == {"psnr"}
    assert len(list((tmp_path / "pictures").iterdir())) == 4
