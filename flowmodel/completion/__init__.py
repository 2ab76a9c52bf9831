"""Completes an icon set: fine-tunes on its icons and samples the missing ones in its style. Start reading at complete.py."""
