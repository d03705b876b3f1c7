"""The commands of proxy types: one line of a terminal that runs a proxy or a visitor, without a file."""
