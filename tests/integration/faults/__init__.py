"""Faults, with real programs: what they cost the users, and how long."""
