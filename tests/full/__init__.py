"""The checks that are too slow for every day."""
