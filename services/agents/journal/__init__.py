"""What a run learns from outside, written down so that its work can be repeated."""
