"""OpenID Connect without I/O: what is asked of a provider, and what its answers and its tokens are worth."""
