"""Encoders: audio to tokens and one vector, and the parameters' side of the joint space."""
