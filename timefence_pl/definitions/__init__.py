"""What the user declares: sources, features, labels and sets of them; frozen, and checked when made."""
