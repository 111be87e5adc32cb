"""What the annotators that need torch share; importing this package itself loads nothing."""
