"""Files of strangers: whatever is in them, reading gives a value or the package's own error."""
