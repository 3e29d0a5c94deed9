"""The HTTP surface: Easel's own API and those of other programs, each with its parameters and its shape of errors."""
