"""Measurements, one file a question. README.md has the numbers and how they were taken."""
