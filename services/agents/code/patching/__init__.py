"""Changes of code that may mend it: where they are found, how they are tried, and what proves them."""
