"""Unit tests of services/vector/search."""
