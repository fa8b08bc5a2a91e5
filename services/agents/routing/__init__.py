"""Which agent a request belongs to, without a model."""
