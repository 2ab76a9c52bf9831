"""Scores that are pure functions of feature matrices, distances or pixels."""
