"""The rows of the evaluations of a collection, for whoever counts or deletes all of them."""

from __future__ import annotations

from services.vector.record.database import Connection

_OF_COLLECTION = "(SELECT key FROM evaluations WHERE collection_key = ?)"


def count(connection: Connection, collection_key: int) -> int:
    """How many evaluations there are of the collection."""
    (number,) = connection.execute(
        "SELECT count(*) FROM evaluations WHERE collection_key = ?", (collection_key,)
    ).fetchone()
    return int(number)


def erase_all(connection: Connection, collection_key: int) -> None:
    """Removes the collection's evaluations with their queries."""
    connection.execute(
        f"DELETE FROM evaluated_queries WHERE evaluation_key IN {_OF_COLLECTION}",  # noqa: S608 # written here
        (collection_key,),
    )
    connection.execute("DELETE FROM evaluations WHERE collection_key = ?", (collection_key,))
