"""Unit tests of services/vector/index."""
