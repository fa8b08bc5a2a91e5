"""Several searches for one question, what they found together, and what it is worth."""
