"""A compose project: one of the compose files, run by one of the two programs, under a name of its own."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.docker.command import docker, run
from tests.docker.images import ROOT, SUITE

GPU, CPU, EMBEDDED = FILES = ("docker-compose.yml", "docker-compose.cpu.yml", "docker-compose.embedded.yml")
PROFILES = ("--profile=monitoring", "--profile=export")
_WAIT_SECONDS = 600


@dataclass(frozen=True)
class Compose:
    """A project. environment: the variables of the compose file; program: docker-compose, of either major version."""

    file: str
    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    program: str = "docker-compose"

    def __call__(self, *arguments: str) -> str:
        """Run a command of docker-compose and return what it prints."""
        command = (self.program, "--project-name", self.name, "--file", str(ROOT / self.file), *arguments)
        return run(*command, environment=self.environment)

    def config(self) -> dict[str, Any]:
        """The services, after everything was read, merged and filled in."""
        return dict(yaml.safe_load(self(*PROFILES, "config"))["services"])

    def image(self, service: str) -> str:
        """The name of a service's image that was built here."""
        [image] = docker(
            "images", "--filter", f"reference={self.name}?{service}", "--format", "{{.Repository}}"
        ).split()
        return image

    def container(self, service: str) -> str:
        """The identifier of a service's only container, running or not."""
        filters = [f"--filter=label=com.docker.compose.{key}" for key in (f"project={self.name}", f"service={service}")]
        [identifier] = docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        return identifier

    def inspect(self, service: str) -> Any:
        """What the engine knows of a service's container."""
        return json.loads(docker("inspect", self.container(service)))[0]

    def health(self, service: str) -> str:
        """starting, healthy or unhealthy."""
        return str(self.inspect(service)["State"]["Health"]["Status"])

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a service's container and return what it prints."""
        return docker("exec", self.container(service), *command)

    def wait_until_healthy(self, service: str) -> None:
        """Wait for the health check."""
        wait_for(lambda: self.health(service) == "healthy", lambda: self("logs"))

    def leftovers(self) -> str:
        """Containers, networks and volumes of the project."""
        label = f"--filter=label=com.docker.compose.project={self.name}"
        kinds = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
        return "".join(docker(*kind, "--quiet", label) for kind in kinds)


def wait_for(condition: Callable[[], bool], story: Callable[[], str]) -> None:
    """Wait until a condition holds, or fail with the story of what happened instead."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, story()
        time.sleep(0.2)


def fetch_version_2(base: str, folder: Path) -> str:
    """Take Compose v2 out of the package of Debian's next release, and return the program's path."""
    script = (
        f"sed -i s/{SUITE}/trixie/g $(find /etc/apt -name '*.list' -o -name '*.sources') && apt-get update -qq"
        " && cd /tmp && apt-get download -qq docker-compose && base64 docker-compose_*.deb"
    )
    package = folder / "docker-compose.deb"
    text = docker("run", "--rm", "--entrypoint", "sh", base, "-c", script)
    run("sh", "-c", f"base64 -d >{package} && dpkg-deb -x {package} {folder}", stdin=text.encode())
    return str(folder / "usr/libexec/docker/cli-plugins/docker-compose")
