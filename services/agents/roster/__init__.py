"""The agents: one module each, its prompt in a file of the same name beside it."""
