"""What stands between the service and the foreign code: a small program of the standard library alone.

It is started by exec and never imported gRPC, because a fork beside live gRPC objects can hang.
"""
