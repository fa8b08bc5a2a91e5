"""Several answers to one question, melded: what they agree on, where they conflict, what only one says."""
