"""DensePose (Guler et al., CVPR 2018), by a TorchScript program of the user's."""
