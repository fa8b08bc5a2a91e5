"""The vector index: Chroma, made from the record, watched, set aside and made again when it breaks."""
