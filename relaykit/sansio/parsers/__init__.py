"""What recognises a stream by its first bytes; every object here is a prefix parser."""
