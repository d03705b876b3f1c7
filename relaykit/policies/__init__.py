"""The policies that are built in, on the same seam as those of other packages."""
