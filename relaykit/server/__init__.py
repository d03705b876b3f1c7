"""The relay server: lets clients in, exposes their proxies, hands users to them."""
