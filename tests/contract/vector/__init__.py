"""The vector service through its gRPC door: real SQLite, real Chroma, real channels."""
