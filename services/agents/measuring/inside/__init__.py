"""Measures a function. Runs inside the sandbox, in a process of its own, with the standard library and
line_profiler alone; nothing here trusts the code that it measures, and the sandbox trusts neither.
"""
