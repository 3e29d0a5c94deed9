"""The embedded model server: TensorFlow Serving's REST API over the same SavedModels, for machines without Docker."""
