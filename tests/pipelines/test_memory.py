"""Memory does not grow with the number or the length of videos. Measured in processes of their own,
since a process keeps what it has held at most; clips are made in them (no `--clip-timeout`)."""

import json
import subprocess
import sys

import av
import numpy as np
import pytest

PROGRAM = """
import json, resource, sys, tempfile
from pathlib import Path
from pipelines.build import build, plan_build
from pipelines.compute import Compute
from pipelines.recipe import Recipe
from pipelines.reporter import Reporter

source, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
plan = plan_build(Recipe("videos", val_fraction=0, **settings), source)
with tempfile.TemporaryDirectory() as out:
    build(plan, out, Reporter(), compute=Compute(workers=0, clip_timeout=0))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([plan.clips, peak]))
"""
BARE = {"mask": "none", "pose": "none", "depth": ["none"], "crop": "center", "shots": "off"}


def peak(source, **settings):
    """MB that a build of so many clips of 8 frames held at most."""
    recipe = json.dumps({**BARE, "clip_length": 8, **settings})
    command = [sys.executable, "-c", PROGRAM, str(source), recipe]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=240)
    clips, held = json.loads(done.stdout)
    assert clips == settings["limit"]
    return held


def write(path, width, height, frames, times=1):
    """A video of frames that are alike; `times` repeats its packets, which costs nothing."""
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size, stream.options = 30, {"preset": "ultrafast", "bf": "0"}
        picture = np.zeros((height, width, 3), np.uint8)
        picture[height // 4 : height // 2, width // 4 : width // 2] = 200
        frame = av.VideoFrame.from_ndarray(picture).reformat(format="yuv420p")
        packets = []
        for number in range(frames):
            frame.pts = number
            packets += stream.encode(frame)
        packets += stream.encode(None)
        kept = [(bytes(p), p.pts, p.dts, p.time_base, p.is_keyframe) for p in packets]
        for turn in range(times):
            for data, pts, dts, base, key in kept:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, base, key
                shift = round(turn * frames / 30 / base)
                packet.pts, packet.dts = pts + shift, dts + shift
                container.mux(packet)


@pytest.mark.slow
def test_a_thousand_clips_take_the_memory_of_ten(tmp_path):
    write(tmp_path / "in" / "a.mp4", 96, 64, 1100)
    few, many = (peak(tmp_path / "in", size=32, stride=1, limit=n) for n in (10, 1000))
    assert many < few + 60


@pytest.mark.slow
def test_half_an_hour_of_1080p_takes_the_memory_of_seconds(tmp_path):
    """As many clips of either, for what is read ahead fills only in the course of some, and four
    times as many of the long one."""
    write(tmp_path / "short" / "a.mp4", 1920, 1080, 300)
    write(tmp_path / "long" / "a.mp4", 1920, 1080, 300, times=180)
    short = peak(tmp_path / "short", stride=7, limit=40)
    assert peak(tmp_path / "long", stride=1350, limit=40) < short + 100
    assert peak(tmp_path / "long", stride=330, limit=160) < short + 100
