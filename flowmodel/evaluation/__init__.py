"""Evaluation: features of pictures, metrics on feature matrices, the report of a checkpoint, the gate."""
