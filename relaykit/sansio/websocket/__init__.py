"""WebSocket as a stream of bytes: how it is opened, and its frames."""
