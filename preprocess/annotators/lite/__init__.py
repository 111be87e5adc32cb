"""The lite annotators: body, mask, hands and face of one person by small networks on the CPU."""
