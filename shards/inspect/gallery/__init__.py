"""A dataset to look at: a page on disk, and a server for a dataset of any size or place."""
