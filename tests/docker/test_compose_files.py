"""The compose files: both major versions of docker-compose read them, and they differ only in who runs the networks."""

import re
from pathlib import Path

import pytest

from tests.docker.command import run
from tests.docker.compose import CPU, EMBEDDED, FILES, GPU, PROFILES, Compose
from tests.docker.images import ROOMS, ROOT, base_image

# Everything else of the model server is the same in the three files.
OWN = {GPU: {"image", "entrypoint", "environment", "deploy"}, CPU: {"image", "entrypoint"}, EMBEDDED: {"build"}}


@pytest.mark.parametrize("file", FILES)
def test_the_files_are_valid(file: str, project: str, compose_v2: str) -> None:
    """For docker-compose as it is installed, and for Compose v2."""
    assert "version 2." in Compose(file, project, program=compose_v2)("version")
    for program in ("docker-compose", compose_v2):
        compose = Compose(file, project, program=program)
        assert compose(*PROFILES, "config", "--quiet").strip() == ""
        services = {"model_server", "proxy", "prometheus"} | ({"export"} if file == GPU else set())
        assert set(compose.config()) == services


@pytest.mark.parametrize("version", [1, 2])
def test_model_servers_can_be_exchanged(project: str, compose_v2: str, version: int) -> None:
    """Command line, volume, ports and health check are the same for TensorFlow Serving and the embedded server."""
    program = "docker-compose" if version == 1 else compose_v2
    configs = {file: Compose(file, project, program=program).config() for file in FILES}
    for services in configs.values():
        services.pop("export", None)
    shared = []
    for file, services in configs.items():
        server = services.pop("model_server")
        # Compose v2 writes down what is not there.
        shared.append({key: value for key, value in server.items() if key not in OWN[file] and value is not None})
    assert shared[0] == shared[1] == shared[2]
    assert {"command", "volumes", "ports", "healthcheck"} <= set(shared[0])
    assert configs[GPU] == configs[CPU] == configs[EMBEDDED]


@pytest.mark.parametrize("file", FILES)
def test_services_are_confined_and_come_back(file: str, project: str) -> None:
    """No root, no writing, no new privileges, logs that end; restarted when they crash."""
    for name, service in Compose(file, project).config().items():
        if name == "export":
            continue
        assert int(service["user"].split(":")[0]) > 0
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


@pytest.mark.parametrize("file", FILES)
def test_only_the_proxy_is_published_beyond_this_machine(file: str, project: str) -> None:
    """The model server and Prometheus, which ask for no password, are for this machine."""
    services = Compose(file, project).config()
    assert services["model_server"]["ports"] == ["127.0.0.1:8501:8501/tcp"]
    assert services["prometheus"]["ports"] == ["127.0.0.1:9090:9090/tcp"]


@pytest.mark.parametrize("version", [1, 2])
def test_variables_reach_the_proxy(project: str, compose_v2: str, version: int) -> None:
    """Its settings from the shell, and an address to be published on."""
    variables = {"EASEL_FAMILIES": "sd-v1,emoji", "EASEL_ROWS_PER_CALL": "4", "EASEL_PORT": "127.0.0.1:5001"}
    program = "docker-compose" if version == 1 else compose_v2
    proxy = Compose(CPU, project, variables, program).config()["proxy"]
    assert proxy["environment"]["EASEL_FAMILIES"] == "sd-v1,emoji"
    assert proxy["environment"]["EASEL_ROWS_PER_CALL"] == "4"
    [port] = proxy["ports"]
    assert port == "127.0.0.1:5001:5000/tcp" or (port["host_ip"], port["published"]) == ("127.0.0.1", "5001")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("file", FILES)
def test_keys_are_where_they_are_outside(
    file: str, project: str, compose_v2: str, version: int, tmp_path: Path
) -> None:
    """A path below the checkout is the same in the container; another folder can take the place of keys."""
    program = "docker-compose" if version == 1 else compose_v2
    for folder, variables in ((ROOT / "keys", {}), (tmp_path, {"EASEL_KEYS": str(tmp_path)})):
        named = {"EASEL_API_KEYS_FILE": "keys/keys.toml", **variables}
        proxy = Compose(file, project, named, program).config()["proxy"]
        assert proxy["environment"]["EASEL_API_KEYS_FILE"] == "keys/keys.toml"
        [volume] = proxy["volumes"]
        if version == 1:
            assert volume == f"{folder}:/easel/keys:ro"
        else:
            assert (volume["source"], volume["target"], volume["read_only"]) == (str(folder), "/easel/keys", True)
    assert "\nWORKDIR /easel\n" in (ROOT / "proxy/Dockerfile").read_text()


@pytest.mark.parametrize("version", [1, 2])
def test_without_keys_their_folder_is_empty(project: str, compose_v2: str, version: int) -> None:
    """It is there, so that no engine makes it, and the proxy is told of no file."""
    program = "docker-compose" if version == 1 else compose_v2
    assert run("git", "-C", str(ROOT), "ls-files", "keys").split() == ["keys/.gitignore"]
    assert Compose(CPU, project, program=program).config()["proxy"]["environment"]["EASEL_API_KEYS_FILE"] is None


def test_tensorflow_serving_is_of_the_version_that_exports(project: str) -> None:
    """The tags begin with TensorFlow's version in export/requirements.in; another image can be given."""
    [version] = re.findall(r"^tensorflow==(\S+)$", (ROOT / "export/requirements.in").read_text(), re.MULTILINE)
    images = [Compose(file, project).config()["model_server"]["image"] for file in (GPU, CPU)]
    assert images == [f"tensorflow/serving:{version}-gpu", f"tensorflow/serving:{version}"]
    other = {"TENSORFLOW_SERVING_IMAGE": "registry/other:1"}
    assert Compose(GPU, project, other).config()["model_server"]["image"] == "registry/other:1"


def test_all_images_have_one_base() -> None:
    """And it is of the Python that the tests make it of."""
    assert {base_image(room) for room in ROOMS} == {"python:3.11-slim-bookworm"}
