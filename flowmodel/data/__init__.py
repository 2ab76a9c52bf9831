"""The data set: sources, tables, captions and splits. Start reading at prepare.py and dataset.py."""
