"""Analyses files. Runs inside the sandbox: it executes none of the code, but its parsers read what nobody
trusts, and a parser that falls over must not take the service along.
"""
