"""From passages to an answer whose citations hold."""
