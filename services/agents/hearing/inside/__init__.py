"""Programs that run inside the sandbox: they read recordings that nobody trusts, and speak."""
