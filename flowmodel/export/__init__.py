"""A model as a folder that draws without PyTorch (flowmodel/runtime)."""
