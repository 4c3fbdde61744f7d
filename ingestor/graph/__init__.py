"""The home's relations: registries and automations in, cycles, dependencies and snapshots out."""
