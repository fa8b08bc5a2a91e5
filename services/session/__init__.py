"""Conversations and the record of what agents did, kept in Redis."""
