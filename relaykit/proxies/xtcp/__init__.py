"""The proxy type ``xtcp``: a service that visitors reach on a path that does not lead through the server."""
