"""Estimators: audio to draws of parameters."""
