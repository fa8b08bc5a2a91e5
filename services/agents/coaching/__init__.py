"""Judges texts, and helps somebody to learn from documents."""
