"""OpenID Connect: tokens of a provider, which a client gets and a server checks."""
