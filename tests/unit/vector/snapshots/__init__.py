"""Unit tests of services/vector/snapshots."""
