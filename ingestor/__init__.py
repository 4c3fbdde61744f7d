"""What happens to an event, in order, module by module. Nothing here knows Ray.

1. ``sources``      read it: Home Assistant, the demo home, a recorded file
2. ``transforms``   ``route`` to its shard, ``validate`` and mend, ``dedupe``, ``enrich``
3. ``pipeline``     those steps as one function: a batch in, an ``Outcome`` out
4. ``journal``      write it down: accepted means on disk
5. ``history``      keep it for ever, small, and answer questions about it
6. ``graph``        know what depends on what, and where automations run in circles
7. ``metadata``     remember registries, gaps and what was quarantined
"""
