"""What recognises a stream by its first octets; every object here is a prefix parser."""
