"""Evaluation of a checkpoint. Start reading at report.py, which says what there is, and run.py, which makes it."""
