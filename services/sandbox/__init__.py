"""The room in which code that others wrote is run.

A chapter of services like the chassis: no process of its own. The agents service opens it, others may.
`services.sandbox.room` is what runs beside the foreign code and knows the standard library only.
"""
