"""Side-by-side benchmarks: the same training sets built by this package and by its peers."""
