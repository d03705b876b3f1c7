"""Many streams over one connection, as yamux does it: frames, streams, the session."""
