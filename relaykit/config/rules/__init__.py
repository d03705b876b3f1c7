"""What the values of a complete configuration mean together: defaults, rules, what is not there yet."""
