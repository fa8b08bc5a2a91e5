"""Listens to recordings: measures them in the sandbox, writes down what is said, speaks."""
