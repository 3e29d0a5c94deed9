"""The bundled family, exported as for the tests of the whole chain."""

from tests.e2e.conftest import models

__all__ = ["models"]
