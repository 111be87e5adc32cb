"""Clusters of several nodes: a node that is killed costs time, and no byte."""

import subprocess

import pytest

from tests.pipelines.conftest import tree
from tests.pipelines.faults import IMPATIENT
from tests.pipelines.test_build import command
from tests.processes import until_there

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    started = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": IMPATIENT}
    )
    yield started
    started.shutdown()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_node_that_is_killed_costs_no_byte(run, videos, tmp_path, cluster, start, replaced):
    """Its workers, and what they were at, go to the nodes that are left, or to a new one."""
    nodes = [cluster.add_node(num_cpus=1) for _ in range(1 if replaced else 2)]
    out, log = tmp_path / "out", tmp_path / "log"
    joined = command(videos, out, "--workers", str(1 + len(nodes)), "--address", cluster.address)
    joined += ["--clips-per-shard", "4"]
    with log.open("w") as said:
        driver = start(joined, stdout=said, stderr=subprocess.STDOUT)
    until_there(lambda: len(list(out.glob("*/shard-*.json"))) >= 2, driver)
    assert driver.poll() is None, log.read_text()
    cluster.remove_node(nodes[-1], allow_graceful=False)
    assert driver.poll() is None
    assert len(list(out.glob("*/shard-*.json"))) < 20
    if replaced:
        cluster.add_node(num_cpus=1)
    assert driver.wait() == 0, log.read_text()
    run(videos, tmp_path / "here", clip_length=2, stride=1, clips_per_shard=4)
    assert tree(out) == tree(tmp_path / "here")
