"""What `make bench` measures: the real system on servers of its own, medians and spread, never a verdict."""
