"""How a training run is executed: its saved state, and the processes that share it."""
