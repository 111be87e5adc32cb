"""From a person, a background and a motion to a video with depth (paper, sec. 3)."""
