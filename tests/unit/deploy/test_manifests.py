"""Manifests against the schemas of what reads them: Kubernetes and compose."""

import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
VERSIONS = ("1.30", "1.34")
"""Of Kubernetes."""


def read(name):
    return yaml.safe_load((DEPLOY / name).read_text())


def is_valid(manifest):
    """Return whether it is; what is wrong with it is raised."""
    return [kubernetes_validate.validate(manifest, version, strict=True) for version in VERSIONS] == list(VERSIONS)


def pod(spec, name="cropcube"):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("name", ["job.yaml", "predict.yaml", "store.example.yaml"])
def test_manifests_are_those_of_kubernetes(name):
    assert is_valid(read(f"kubernetes/{name}"))


def test_what_the_operator_makes_of_the_cluster_is_of_kubernetes():
    spec = read("kubernetes/cluster.yaml")["spec"]
    assert is_valid(pod(spec["scheduler"]["spec"]))
    assert is_valid(pod(spec["worker"]["spec"]))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cropcube-scheduler"}}
    assert is_valid(service | {"spec": spec["scheduler"]["service"]})


def test_a_misspelt_field_would_be_found():
    manifest = read("kubernetes/cluster.yaml")["spec"]["worker"]["spec"]
    manifest["containers"][0]["comand"] = ["dask"]
    with pytest.raises(kubernetes_validate.ValidationError, match="comand"):
        is_valid(pod(manifest))


def test_the_manifests_mean_one_cluster_and_one_store():
    cluster, scaler = read("kubernetes/cluster.yaml"), read("kubernetes/autoscaler.yaml")
    assert (cluster["kind"], scaler["kind"]) == ("DaskCluster", "DaskAutoscaler")
    assert cluster["apiVersion"] == scaler["apiVersion"] == "kubernetes.dask.org/v1"
    name = cluster["metadata"]["name"]
    assert scaler["spec"]["cluster"] == name
    assert scaler["spec"]["minimum"] < scaler["spec"]["maximum"]
    assert cluster["spec"]["scheduler"]["service"]["selector"]["dask.org/cluster-name"] == name
    (port,) = (port["port"] for port in cluster["spec"]["scheduler"]["service"]["ports"] if port["name"] == "tcp-comm")
    secret = read("kubernetes/store.example.yaml")["metadata"]["name"]
    drivers = [read(f"kubernetes/{name}.yaml")["spec"]["template"]["spec"] for name in ("job", "predict")]
    containers = [one for spec in drivers for one in [*spec.get("initContainers", []), *spec["containers"]]]
    assert [one["args"][0] for one in containers] == ["build", "features", "predict"]
    for container in containers:
        assert container["args"][container["args"].index("--cluster") + 1] == f"tcp://{name}-scheduler:{port}"
    for container in [*containers, *cluster["spec"]["worker"]["spec"]["containers"]]:
        assert container["envFrom"] == [{"secretRef": {"name": secret}}]


def test_no_secret_is_in_a_file():
    assert set(read("kubernetes/store.example.yaml")["stringData"].values()) == {"", "eu-central-1"}
    text = (DEPLOY / "compose.yaml").read_text()
    assert text.count("${STORE_SECRET:?") == 2


def of_specification(path):
    """Check a compose file against the specification's own schema, which check-jsonschema brings."""
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_compose_is_of_its_specification():
    found = of_specification(DEPLOY / "compose.yaml")
    assert found.returncode == 0, found.stdout


def test_a_misspelt_option_of_compose_would_be_found(tmp_path):
    text = (DEPLOY / "compose.yaml").read_text().replace("environment", "enviroment")
    (tmp_path / "compose.yaml").write_text(text)
    found = of_specification(tmp_path / "compose.yaml")
    assert found.returncode == 1
    assert "enviroment" in found.stdout


def test_services_of_compose_know_each_other():
    services = read("compose.yaml")["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
    assert "tcp://scheduler:8786" in services["worker"]["entrypoint"]
    assert services["scheduler"]["entrypoint"][2:4] == ["--port", "8786"]
    for name in ("worker", "cropcube"):
        assert services[name]["environment"]["AWS_ENDPOINT_URL"] == "http://store:7070"
