"""Whatever is killed or fails, and whenever: the same files as without, to the byte."""

import pytest

from tests.pipelines.faults import can_mount, disturb, draw


def check(seed, number, folder, *, ray):
    case = draw(seed, number, ray=ray)
    if case.fault == "output read-only" and not can_mount():
        pytest.skip("this user may not mount")
    result = disturb(case, folder)
    assert result.lost == [], case
    assert result.struck, f"it ended before: {case}"


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_build_that_is_struck_has_the_same_bytes(tmp_path, number):
    check(3, number, tmp_path, ray=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(30))
def test_thirty_faults(tmp_path_factory, number):
    folder = tmp_path_factory.getbasetemp() / "faults"
    check(1, number, folder, ray=True)
