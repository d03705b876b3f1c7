"""How a stream gets from the client to the server."""
