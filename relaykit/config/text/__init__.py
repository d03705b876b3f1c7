"""Configuration texts: TOML, YAML and JSON into plain values that know where they are written."""
