"""Where an event is handled: state, lifetime and back-pressure. What is decided about it stands in ``ingestor``.

Each actor is a plain class that runs without Ray; ``options`` makes Ray actors of them, ``handles`` finds them.

    Source -> (Sender) -> Shard -> journal -> Hub -> live subscribers
    Gate   -> (Sender) -^             `-> Historian -> history
    Graph  -> snapshots to the shards
    Supervisor starts all of them in order, watches, drains and stops
"""
