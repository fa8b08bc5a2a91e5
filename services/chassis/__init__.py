"""Process plumbing that every service needs and that knows no domain word.

settings, telemetry and redaction, errors, call context, access, server with
health and measurements, profiler, channel, deadlines, directory lock, crash points.
"""
