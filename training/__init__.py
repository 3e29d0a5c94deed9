"""How the bundled emoji weights were made, and how their quality is measured."""
