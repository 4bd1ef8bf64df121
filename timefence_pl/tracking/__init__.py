"""What is kept of builds: the public store over the bytes on disk."""
