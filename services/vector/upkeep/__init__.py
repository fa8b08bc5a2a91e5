"""Looking after what is kept: comparing record, indexes and files, mending them, and leaving no trace of what
was deleted.
"""
