"""Packages are imported when asked for, as little of them as is needed."""

import subprocess
import sys

import pytest

from preprocess.errors import InputError
from preprocess.torch.packages import needed_packages


def test_an_absent_package_says_how_to_get_it():
    expected = r"MiDaS needs the package nowhere_to_be.*install-paper"
    with pytest.raises(InputError, match=expected), needed_packages("MiDaS"):
        import nowhere_to_be  # noqa: F401


def test_networks_of_controlnet_aux_come_without_its_detectors():
    """Beside a mediapipe that has no `solutions`, and with timm's own models left alone."""
    code = """
import os, sys, types
sys.modules["mediapipe"] = types.ModuleType("mediapipe")
import timm
before = timm.models._registry._model_entrypoints["tiny_vit_5m_224"]
from preprocess.torch.packages import import_controlnet_aux
_, body = import_controlnet_aux("open_pose.util", "open_pose.body")
(midas,) = import_controlnet_aux("midas.midas.dpt_depth")
assert body.Body and midas.DPTDepthModel
assert timm.models._registry._model_entrypoints["tiny_vit_5m_224"] is before
assert "KMP_DUPLICATE_LIB_OK" not in os.environ
assert "controlnet_aux" not in sys.modules and "controlnet_aux.midas" not in sys.modules
assert "controlnet_aux.canny" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
