"""Decides whether a model is registered and whether it replaces the champion. Start reading at gate.py."""
