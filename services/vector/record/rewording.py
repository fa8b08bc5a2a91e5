"""The keyword index made anew from the record, after a release has another idea of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.vector.record import lexicon
from services.vector.record.soundness import StoredDocument, examined

if TYPE_CHECKING:
    from services.vector.record.database import Connection


def reword(connection: Connection) -> None:
    """Makes the tables of all collections anew. What is damaged is left out, as a check will say."""
    for (collection_key,) in connection.execute("SELECT key FROM collections").fetchall():
        lexicon.drop(connection, collection_key)
        lexicon.create(connection, collection_key)
    documents = connection.execute(
        "SELECT key, collection_key FROM documents WHERE state IN (3, 4) ORDER BY key"
    )
    for key, collection_key in documents.fetchall():
        held = examined(connection, key)
        if isinstance(held, StoredDocument):
            lexicon.add(
                connection,
                collection_key,
                key,
                title=held.title,
                filename=held.filename,
                text=held.text,
                entries=held.entries(),
            )
