"""One module for each format.

A format module has one function, ``read(source: BinaryIO, writer: TextWriter) -> None``. It is called in the
child process only, writes what it reads into the writer in document order, and raises `ExtractionError`
for what it can explain. Any other exception it lets through is reported as DOCUMENT_UNREADABLE.
"""
