"""The INI files of old versions of frp: read as they were meant, and written anew as TOML."""
