"""Shows a running client to the people before it: in lines, or drawn on a terminal."""
