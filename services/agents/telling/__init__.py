"""Tells people's webhooks what happened to documents."""
