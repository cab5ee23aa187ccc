"""Arrays in, numbers out: knows no files."""
