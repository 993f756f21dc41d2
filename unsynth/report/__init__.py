"""The report of a match: one HTML page to hear, see and read it, and the pictures and words that other pages share."""
