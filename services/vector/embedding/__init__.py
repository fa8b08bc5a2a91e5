"""Texts to vectors: the port, the local MiniLM model, and OpenAI-compatible endpoints."""
