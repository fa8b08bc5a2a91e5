"""The HTTP door: JSON, server-sent events and the web page in front of the three services.

It holds no business rule. A route reads JSON, calls one service, and writes JSON.
"""
