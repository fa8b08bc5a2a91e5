"""Looks at code without running it."""
