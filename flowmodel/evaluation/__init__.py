"""Evaluation of a checkpoint. Start reading at report.py, which defines the report, and run.py, which creates it."""
