"""HDNet (Jafarian and Park, CVPR 2021) in PyTorch: depth of a person from one picture."""

from preprocess.depths.hdnet.convert import hourglass_state_dict
from preprocess.depths.hdnet.network import HourglassNetwork
from preprocess.depths.hdnet.tensor_bundle import load_tensor_bundle

__all__ = ["HourglassNetwork", "hourglass_state_dict", "load_tensor_bundle"]
