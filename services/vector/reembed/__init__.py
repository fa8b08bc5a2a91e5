"""Another embedding model for a collection that goes on to answer."""
