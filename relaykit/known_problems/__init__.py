"""What is behind a message, and what to do: the known problems, by what they are about."""
