"""The web service in front of the model server: captions in, pictures out, without TensorFlow."""
