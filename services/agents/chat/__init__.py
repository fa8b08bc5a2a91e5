"""Access to chat models: one retry loop, a breaker for each model, fallback before the first token."""
