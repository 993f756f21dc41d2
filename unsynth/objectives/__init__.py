"""Objectives: how an encoder learns."""
