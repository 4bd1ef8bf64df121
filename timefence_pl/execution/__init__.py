"""How a training plan runs."""
