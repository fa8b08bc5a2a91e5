"""What stands between the service and the foreign code: a small program of the standard library alone.

Every run waits for it to start, so it imports little: no dataclasses, which bring half of the library along.
It is started by exec and never imported gRPC, because a fork beside live gRPC objects can hang.
"""
