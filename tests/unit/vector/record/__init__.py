"""Unit tests of services/vector/record."""
