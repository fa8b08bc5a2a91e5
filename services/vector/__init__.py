"""The vector service: documents in, passages and verified citations out."""
