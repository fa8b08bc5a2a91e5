"""What runs in the sandbox: decoders of pictures read bytes that nobody trusts."""
