"""Pixels to shapes: an icon becomes regions, these an SVG, and that pictures of any size and files. Needs no torch."""
