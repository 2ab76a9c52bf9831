"""Exports a model as a folder from which flowmodel/runtime samples without PyTorch."""
