"""One row model, and how it is written for others."""
