"""Where log events go: lines as frp writes them or JSON, on the console or in a file that is rotated."""
