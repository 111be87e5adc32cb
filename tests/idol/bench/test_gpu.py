"""`bench/gpu.py`: each rung runs on a CPU at a small size, and tables come into documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import gpu
from idol.bench.gpu_tables import NAME, tables, written_into
from idol.bench.marked import marks

FOUND = {
    "about": {"card": "CPU", "torch": "2", "scale": "smoke"},
    "results": {
        "right: bf16": {"loss": 0.2, "gradient": 0.1, "clip": 0.1, "allowed": 0.05, "right": False},
        "train: float32": {"seconds": 0.5, "pictures_per_second": 32.0, "of_peak": 0.118},
        "train: graph": {"error": "RuntimeError: no"},
    },
}


def test_the_tables_show_figures_failures_and_what_is_too_far() -> None:
    text = tables(FOUND)
    assert "| **bf16: too far** | 0.2 | 0.1 | 0.1 | 0.05 |" in text
    assert "| float32 | 0.5 | 32.0 |  | 11.8 % |" in text
    assert "| graph | RuntimeError: no |" in text
    assert tables({}) == "Not run yet."


def test_they_come_between_a_documents_marks_and_nowhere_else() -> None:
    begin, end = marks(NAME)
    document = f"before\n{begin}\nold\n{end}\nafter\n"
    once = written_into(document, FOUND)
    assert once == f"before\n{begin}\n{tables(FOUND)}\n{end}\nafter\n"
    assert written_into(once, FOUND) == once
    with pytest.raises(ValueError, match="once each"):
        written_into("no marks", FOUND)


def test_the_documents_have_the_marks() -> None:
    written_into((Path(__file__).parents[3] / "docs/training.md").read_text(), FOUND)


def test_what_fails_without_a_word_does_not_end_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent() -> dict[str, float]:
        raise MemoryError

    each = {"train: silent": silent, "train: float32": lambda: {"seconds": 0.5}}
    monkeypatch.setattr(gpu, "jobs", lambda *_: iter(each.items()))
    gpu.main(["--device", "cpu", "--scale", "smoke", "--json", str(tmp_path / "gpu.json")])
    results = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert results["train: silent"] == {"error": "MemoryError: MemoryError"}
    assert results["train: float32"] == {"seconds": 0.5}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_every_rung_runs_and_none_runs_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--device", "cpu", "--scale", "smoke", "--json", str(tmp_path / "gpu.json")]
    gpu.main(options)
    results = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert len(results) == 3 + 19 + 6 + 1
    assert {name: r["error"] for name, r in results.items() if "error" in r} == {}
    assert all(r["right"] for name, r in results.items() if name.startswith("right"))
    capsys.readouterr()
    gpu.main(options)
    assert "seconds" not in capsys.readouterr().out.split("`bench/gpu.py`")[0]
