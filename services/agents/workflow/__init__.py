"""Workflows: graphs of steps that agents, people and melds do."""
