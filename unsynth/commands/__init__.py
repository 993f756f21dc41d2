"""What can be typed after `unsynth`, by subject.

Commands import what they need when they run, so that help is there at once. (jsonargparse would load torch for imports
under TYPE_CHECKING, and for a function named like one of the package's: there are neither here.)
"""
