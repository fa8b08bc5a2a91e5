"""Users, how they sign in, and what they may use up."""
