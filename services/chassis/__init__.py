"""Process plumbing that every service needs and that knows no domain word.

settings, telemetry and redaction, errors, call context, access, server with
health, channel, deadlines, directory lock, crash points.
"""
