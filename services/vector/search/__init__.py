"""Search: keyword and vector scores from the record, fused into one order."""
