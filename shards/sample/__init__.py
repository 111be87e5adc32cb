"""What a sample is: its modalities, their arrays, and the members that hold them."""
