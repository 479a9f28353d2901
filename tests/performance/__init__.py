"""What the engine costs, in counts that are the same on every machine: the gate against getting slower."""
