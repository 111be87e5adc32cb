"""The front-end kit: a page is one HTML file, with its style, its scripts and its data in it."""
