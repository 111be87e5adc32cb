"""The forms in which `vid2line` is found say the same videos."""

import json

import pytest

from preprocess.sources.disco.vid2line import read_vid2line

KEYS = [f"v_{i}.png" for i in range(6)]
ROWS = {key: i for i, key in enumerate(KEYS)}
VIDEOS = {"a": [0, 1, 2], "b": [3, 4], "c": [5]}
SPANS = {"a": (0, 2), "b": (3, 4), "c": (5, 5)}


def of(row):
    return next(span for span in SPANS.values() if span[0] <= row <= span[1])


def tsv(entries):
    return "".join(f"{name}\t{json.dumps(value)}\n" for name, value in entries)


@pytest.mark.parametrize(
    "text",
    [
        tsv((key, of(i)) for i, key in enumerate(KEYS)),
        tsv((key, [of(i)[0] - i, of(i)[1] - i]) for i, key in enumerate(KEYS)),
        tsv((KEYS[i], of(i)) for i in (5, 3, 0, 1, 4, 2)),
        "".join(f"{key}\t{of(i)[0]}\t{of(i)[1]}\r\n" for i, key in enumerate(KEYS)),
    ],
    ids=["from the start", "from the picture", "in another order", "in columns"],
)
def test_told_for_each_picture(tmp_path, text):
    path = tmp_path / "vid2line.tsv"
    path.write_text(text)
    found = read_vid2line(path, ROWS, 6)
    assert sorted(sorted(lines) for _, lines in found) == list(VIDEOS.values())
    assert {name for name, _ in found} == {None}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("v.json", json.dumps(VIDEOS)),
        ("v.json", json.dumps(SPANS)),
        ("v.json", json.dumps({k: (a, b + 1) for k, (a, b) in SPANS.items()})),
        ("v.json", json.dumps({k: [line + 1 for line in v] for k, v in VIDEOS.items()})),
        ("v.json", json.dumps({k: [KEYS[line] for line in v] for k, v in VIDEOS.items()})),
        ("v.tsv", tsv(VIDEOS.items())),
        ("v.tsv", tsv(SPANS.items())),
        ("v.tsv", "".join(f"{k}\t{line}\n" for k, lines in VIDEOS.items() for line in lines)),
    ],
    ids=["lines", "ends", "ends after", "from one", "keys", "tsv lines", "tsv ends", "tsv each"],
)
def test_told_for_each_video(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert dict(read_vid2line(path, ROWS, 6)) == VIDEOS


def test_two_lines_are_two_lines_where_first_and_last_cannot_be(tmp_path):
    path = tmp_path / "v.json"
    path.write_text('{"a": [0, 2], "b": [1, 3]}')
    assert dict(read_vid2line(path, {}, 4)) == {"a": [0, 2], "b": [1, 3]}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("v.json", "[[0, 1]]", "not a JSON object"),
        ("v.json", "{", "Expecting"),
        ("v.json", '{"a": ["x"]}', "no line numbers for a"),
        ("v.json", '{"a": [0, 1, 99]}', "beyond the 6"),
        ("v.json", '{"a": [0, 1, 2], "b": [2, 3, 4]}', "twice"),
        ("v.tsv", "", "is empty"),
        ("v.tsv", tsv((key, [4, 5]) for key in KEYS), "outside"),
        ("v.tsv", tsv((key, [4]) for key in KEYS), "no first and last"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, name, text, reason):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_vid2line(path, ROWS, 6)
