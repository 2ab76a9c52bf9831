"""Conditional flow matching: the probability path from noise to data, the training objective, and the solvers.

Time runs from t = 0 (noise) to t = 1 (data) everywhere.
"""
