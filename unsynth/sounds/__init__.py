"""Where sounds to learn from, to search and to test on come from."""
