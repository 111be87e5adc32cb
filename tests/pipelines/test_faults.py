"""Whatever is killed or fails, and whenever: the same files as without, to the byte."""

import pytest

from tests.pipelines.faults import KINDS, Machines, disturb, draw, strike_all, table

HERE = tuple((fault, where) for fault, where in KINDS if where == "here")


@pytest.mark.parametrize(
    "fault",
    [
        # Without Ray it is killed by tests/pipelines/test_build.py as well.
        pytest.param("driver killed", marks=pytest.mark.slow),
        "worker killed",
        pytest.param("store fails", marks=pytest.mark.slow),
    ],
)
def test_a_build_that_is_struck_has_the_same_bytes(tmp_path, fault):
    number = HERE.index((fault, "here"))
    result = disturb(draw(3, number, HERE), tmp_path, Machines())
    assert result.lost == [], result
    assert result.struck, f"it ended before: {result}"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_builds_that_are_struck_by_every_fault(tmp_path, capsys):
    """With and without Ray, and in a cluster of two nodes."""

    def tell(line):
        with capsys.disabled():
            print(line, flush=True)

    results = strike_all(2 * len(KINDS), 1, tmp_path, tell)
    tell(table(results))
    assert len(results) >= 30
    assert not [result for result in results if result.lost]
    assert all(result.struck for result in results)
