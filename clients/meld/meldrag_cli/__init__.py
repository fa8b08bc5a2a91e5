"""The command line `meld`: asks, ingests and manages over the gateway's HTTP, and over nothing else."""

__version__ = "0.1.0"
