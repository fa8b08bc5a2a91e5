"""Unit tests of services/vector/ingest."""
