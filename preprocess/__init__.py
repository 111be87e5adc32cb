"""One clip in, one annotated clip out: sources, cropping, masks, poses, depths, colour maps."""
