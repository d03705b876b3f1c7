"""What was moved, by whom and when: by minute, hour and day, kept over restarts."""
