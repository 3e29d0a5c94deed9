"""Users draw while everything around them fails: python -m tests.chaos."""
