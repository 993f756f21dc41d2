"""What files of `unsynth evaluate` say: paired comparisons, a report with sounds, pitch, and a listening test."""
