"""The control protocol above the wire: openings, the session of both roles, and what decides for them."""
