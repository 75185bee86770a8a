"""What makes NumPy fast: memory that is used again, threads, and arithmetic that is saved."""
