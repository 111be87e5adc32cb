"""The source's own masks."""
