"""What the files of deploy/ name, and no schema knows: whether it is there.

references.py DEPLOY: prints what is not, a line each, and ends with 1 if there is any.
"""

import re
import sys
from pathlib import Path

import yaml

deploy = Path(sys.argv[1])
project = deploy.parent
wrong = []


def expect(holds, what):
    if not holds:
        wrong.append(what)


def documents(file):
    return [it for it in yaml.safe_load_all(file.read_text()) if it]


def compose():
    """Services, networks and volumes; files that are mounted; hosts that others ask."""
    folder = deploy / "compose"
    file = documents(folder / "compose.yaml")[0]
    services = file["services"]
    for name, service in services.items():
        image = service["image"]
        expect(re.search(r":[^:]*\d", image), f"compose: {name}: {image} is not pinned")
        for other in service.get("depends_on", []):
            expect(other in services, f"compose: {name} depends on {other}")
        for network in service.get("networks", []):
            expect(network in file["networks"], f"compose: {name}: no network {network}")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = (folder / source).exists() if "." in source else source in file["volumes"]
            expect(there, f"compose: {name} mounts {source}")
        peers = service.get("environment", {}).get("VALKEY_PEERS", "").split()
        for host in peers:
            expect(host in services, f"compose: {name} has the peer {host}")
        for host in re.findall(r"redis://([^:]+)", str(service.get("environment", {}))):
            expect(host in services, f"compose: {name} asks {host}")
    mine = {it for it in services if it.startswith("valkey-")}
    expect(set(services["create-cluster"]["command"][1:]) == mine, "compose: create-cluster")
    text = (folder / "prometheus/prometheus.yaml").read_text()
    for host in re.findall(r"(?:- |replacement: )([a-z][a-z0-9-]*):\d", text):
        expect(host in services, f"prometheus asks {host}")
    for host in re.findall(r"address: (doublon[^,]*)", (folder / "envoy.yaml").read_text()):
        expect(host in services, f"envoy asks {host}")
    datasource = documents(folder / "grafana/datasource.yaml")[0]["datasources"][0]
    host = re.match("http://([^:]+)", datasource["url"])[1]
    expect(host in services, f"grafana asks {host}")


def kubernetes():
    """Files that nobody applies, pods that are counted twice, scripts that are not given."""
    folder = deploy / "kubernetes"
    listed = set(documents(folder / "kustomization.yaml")[0]["resources"])
    files = {it.name for it in folder.glob("*.yaml")}
    forgotten = files - listed - {"kustomization.yaml", "secret.example.yaml"}
    expect(not forgotten, f"kustomization.yaml has no {', '.join(sorted(forgotten))}")
    (stateful,) = [it for it in documents(folder / "valkey.yaml") if it["kind"] == "StatefulSet"]
    nodes = [f"valkey-{it}.valkey" for it in range(stateful["spec"]["replicas"])]
    container = stateful["spec"]["template"]["spec"]["containers"][0]
    peers = {it["name"]: it.get("value") for it in container["env"]}["VALKEY_PEERS"]
    expect(peers.split() == nodes, "kubernetes: VALKEY_PEERS are not the replicas")
    job = documents(folder / "create-cluster.yaml")[0]
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    expect(args[1:] == nodes, "kubernetes: create-cluster does not have the replicas")
    given = documents(deploy / "valkey/kustomization.yaml")[0]["configMapGenerator"][0]["files"]
    there = {it.name for it in (deploy / "valkey").iterdir()} - {"kustomization.yaml"}
    expect(set(given) == there, "valkey/kustomization.yaml does not have all files beside it")


def project_files():
    """What doublon itself must know: its keys, its toolchain, the files that it is built of."""
    source = [project / "src/config.rs", *sorted((project / "src/config").glob("*.rs"))]
    keys = set(re.findall(r'name: "(\w+)"', "".join(it.read_text() for it in source)))
    for file in sorted(deploy.rglob("*")):
        if file.suffix in (".yaml", ".md") or file.name == "Dockerfile":
            text = re.sub(r"#.*", "", file.read_text())
            for name in re.findall(r"\bDOUBLON_(\w+)", text):
                expect(name.lower() in keys, f"{file.name}: no key DOUBLON_{name}")
    dockerfile = (deploy / "Dockerfile").read_text()
    let_in = (deploy / "Dockerfile.dockerignore").read_text().split("\n")
    for line in re.findall(r"^COPY (?!--)(.*) \S+$", dockerfile, re.M):
        for name in line.split():
            expect((project / name).exists(), f"Dockerfile: there is no {name}")
            expect(f"!{name}" in let_in, f"Dockerfile.dockerignore keeps {name} out")
    manifest = (project / "Cargo.toml").read_text()
    rust = re.search(r'^rust-version = "(.+)"', manifest, re.M)[1]
    expect(f"FROM rust:{rust}-" in dockerfile, f"Dockerfile: it is not of Rust {rust}")
    version = re.search(r'^version = "(.+)"', manifest, re.M)[1]
    for file in ("compose/compose.yaml", "kubernetes/kustomization.yaml"):
        expect(version in (deploy / file).read_text(), f"{file}: it is not of version {version}")


compose()
kubernetes()
project_files()
print("\n".join(wrong))
sys.exit(bool(wrong))
