"""OpenPose (Cao et al., CVPR 2017): body, hands and face, by controlnet_aux's networks."""
