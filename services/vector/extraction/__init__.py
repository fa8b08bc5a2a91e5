"""From the bytes of a file to immutable text and its structure.

`extractor` is the door for the service; it runs `python -m services.vector.extraction`, a confined
child process, for every file. `registry` lists the formats: a format is one module in `formats` and one
entry there. This package imports nothing by itself, so that the child starts with only the parser it needs.
"""
