"""Protocol cores: bytes, values and ``now`` in; bytes and events out.  No I/O, no clock, no chance."""
