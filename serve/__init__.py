"""How the ingestor is asked: decode the question, ask the desk, encode the answer.

``app`` composes two ASGI applications from a ``Desk``: ``api`` (questions and ingest) and ``live`` (streams). Nothing
here holds state or decides about events; ``status`` is the one table from error to answer.
"""
