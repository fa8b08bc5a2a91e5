"""The world outside: the vector and session services, and models."""
