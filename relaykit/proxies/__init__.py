"""The built-in proxy types: one module each, reached only through the dropin."""
