"""unsynth: give it a sound, get back the synthesizer patch that makes it."""

__version__ = "0.1.0"
