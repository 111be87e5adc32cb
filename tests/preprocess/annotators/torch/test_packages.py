"""Packages are imported when asked for, as little of them as is needed."""

import subprocess
import sys

import pytest

from preprocess.annotators.torch.loading import needed_packages
from preprocess.errors import InputError


def test_an_absent_package_says_how_to_get_it():
    expected = r"MiDaS needs the package nowhere_to_be.*install-paper"
    with pytest.raises(InputError, match=expected), needed_packages("MiDaS"):
        import nowhere_to_be  # noqa: F401


def test_networks_of_controlnet_aux_come_without_its_detectors():
    """Beside a mediapipe that has no `solutions`, at which the package itself stumbles."""
    code = """
import os, sys, types
sys.modules["mediapipe"] = types.ModuleType("mediapipe")
from preprocess.annotators.torch.loading import import_controlnet_aux
_, body = import_controlnet_aux("open_pose.util", "open_pose.body")
assert body.Body
assert "KMP_DUPLICATE_LIB_OK" not in os.environ
assert "controlnet_aux" not in sys.modules and "controlnet_aux.open_pose" not in sys.modules
# Its tiny_vit would take the place of timm's.
assert "timm" not in sys.modules and "controlnet_aux.segment_anything" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
