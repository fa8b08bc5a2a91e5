"""Looks at pictures, reads the text in them, and draws charts and diagrams."""
