"""Plugins over HTTP, as frp's servers ask them: each is a policy."""
