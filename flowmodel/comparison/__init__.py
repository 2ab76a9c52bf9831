"""Networks side by side: the one that the project began with, and what made the difference."""
