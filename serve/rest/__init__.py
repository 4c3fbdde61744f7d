"""The REST surface, one topic a file: each gives a ``router`` that finds the desk in the application's state."""
