"""Conditional flow matching: the path from noise to data, what the network learns, and how to walk the path.

Time runs from t = 0 (noise) to t = 1 (data) everywhere.
"""
