"""Judges measurements, and makes some of code."""
