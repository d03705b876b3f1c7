"""The local services that are built in, on the seam of those of other packages: a module for each."""
