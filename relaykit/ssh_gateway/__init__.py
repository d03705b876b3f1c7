"""The SSH gateway: clients that need nothing but ssh."""
