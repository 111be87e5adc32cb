"""Sources: datasets in their published layouts, listed as videos."""
