"""Command lines as frp reads them: their grammar, the flags of proxies, and the tables that flags set."""
