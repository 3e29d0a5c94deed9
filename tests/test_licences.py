"""What is served with Easel may be given on."""

import pytest

from tests.licences import ROOMS, is_allowed, licence, pinned


@pytest.mark.parametrize("room", ROOMS)
def test_every_pinned_package_has_a_licence_that_is_allowed(room: str) -> None:
    packages = list(pinned(room))
    assert len(packages) > 20
    assert {package: licence(package) for package in packages if not is_allowed(licence(package))} == {}


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [("MIT", True), ("MPL-2.0 AND (Apache-2.0 OR MIT)", True), ("MIT AND GPL-3.0-only", False), ("not said", False)],
)
def test_one_licence_that_is_not_on_the_list_is_enough(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed
