"""Measurements of this house on this machine."""

import os

# As the services have it, see services/chassis/start.py.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
