"""Presets: parameters to and from the files that other programs read."""
