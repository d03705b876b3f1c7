"""Lanes: datagrams of many users in one stream, each with the address of its user."""
