"""The way in: files and texts become committed documents, and committed passages get their vectors."""
