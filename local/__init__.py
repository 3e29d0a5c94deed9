"""Runs the whole chain on one machine: the embedded model server and the proxy, started and stopped together."""
