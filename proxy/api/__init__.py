"""The HTTP surface: parameters, routes and the one shape of every error."""
