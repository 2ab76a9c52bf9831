"""The data set: sources, tables, captions, splits, and what a training reads. Start reading at prepare.py and dataset.py."""
