"""Tests written for code from what the code was observed to do."""
