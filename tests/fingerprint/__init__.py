"""What a result depends on: keys, files, frames, callables, plans."""
