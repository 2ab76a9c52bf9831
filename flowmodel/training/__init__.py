"""Training: inputs, loop, averaged weights, checkpoints, device policy. Start reading at loop.py."""
