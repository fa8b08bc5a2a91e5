"""Evaluation: golden sets, what is measured with them, and how sure that is."""
