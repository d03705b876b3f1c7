"""The client: logs in to a relay server, offers local services, visits secret ones."""
