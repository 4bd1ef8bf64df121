"""Other tools: one module each, plain values in and out, imported when used."""
