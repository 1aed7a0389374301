"""Loops around sessions."""
