"""Input that means no good, in numbers: a short share in `make test`, the long run by `make fuzz`."""
