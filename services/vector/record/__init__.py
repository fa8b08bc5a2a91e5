"""The SQLite record: documents, their text, passages, vectors, keyword index, and what the vector index must
learn.
"""
