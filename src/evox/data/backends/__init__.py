"""Backends: the places that keep data. Each but memory is imported when it is first named."""
