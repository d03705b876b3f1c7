"""From plain values to checked options, key by key, so that every mistake is found and has its place."""
