"""Search: targets to patches by comparing sounds."""
