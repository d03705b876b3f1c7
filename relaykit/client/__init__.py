"""The client: logs in to a relay server, registers local services as proxies, visits secret ones."""
