"""What the agents that work on code share."""
