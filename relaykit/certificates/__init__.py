"""Certificates: a server's own, and those in files, which are judged and read again when they change."""
