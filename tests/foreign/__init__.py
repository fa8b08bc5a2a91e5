"""Programs with clients of others, run in their environment (.venv/foreign) by tests/e2e/test_foreign.py."""
