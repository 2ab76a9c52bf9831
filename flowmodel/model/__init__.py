"""Everything that sampling needs: checkpoints, the device policy, the shipped weights, and the generator that turns prompts
into images.
"""
