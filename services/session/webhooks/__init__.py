"""Webhooks: other programs are told of what happens."""
