"""Every plain configuration; importing it loads no torch."""
