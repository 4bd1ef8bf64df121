"""Examples that run in an installed package, from any directory; they need the extra ``examples``."""
