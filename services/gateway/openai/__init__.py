"""OpenAI's protocol in words of the contracts and back. Nothing here calls a service."""
