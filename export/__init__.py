"""Builds the networks, loads their weights and writes them as SavedModels that TensorFlow Serving can run."""
