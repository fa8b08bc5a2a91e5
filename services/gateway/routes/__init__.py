"""The routes, one module a noun. Each reads a request, calls one service and writes its answer."""
