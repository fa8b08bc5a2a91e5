"""Copies of the record: made while it lives, and put in its place when they are verified."""
