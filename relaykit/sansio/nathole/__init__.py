"""Hole punching as frp has it: its messages, and what each end does with them."""
