"""Speed as a ratio to a named peer, measured in the same run: machines differ, and are never quiet."""
