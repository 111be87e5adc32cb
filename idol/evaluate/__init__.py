"""Numbers for generated videos and their depth (paper, sec. 4)."""
