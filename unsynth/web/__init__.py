"""The local web page: hear a sound matched, vary and refine the matches, turn their knobs. Extra ``[web]``."""
