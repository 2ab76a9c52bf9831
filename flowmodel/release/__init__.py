"""Whether a model may be registered, and whether it replaces the champion. Start reading at gate.py."""
