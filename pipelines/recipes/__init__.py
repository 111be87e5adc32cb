"""Recipes that come with the package, to be read, copied and given to `idol-prep --recipe`."""
