"""Vectorization: converts an icon to regions, these to SVG, and that to images and files of any size. It does not need torch."""
