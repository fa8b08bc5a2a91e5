"""Weighs options by stated numbers, and plans who does what."""
