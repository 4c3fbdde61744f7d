"""Other engines on the same frames, the same machine, in the same run. Light: their environments import it too."""
