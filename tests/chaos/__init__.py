"""Attacks on what is promised: kills, power cuts, broken disks, overload, long runs. ``make chaos`` runs all of them.

    python -m tests.chaos --part kills --seconds 600 --seed 7

Each part is a module with ``run(seconds: float, seed: int) -> dict``: it works for about that long, draws all its
chances from the seed, and returns counts under the names that ``report`` knows.
"""
