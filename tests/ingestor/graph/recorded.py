"""Documents of two real homes, built from their recorded command answers, and their automations as written."""

from __future__ import annotations

import io
import json
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
import zstandard

from ingestor.graph.home import HomeGraph

VERSIONS = ("2024.3.3", "2025.4.4")
FRAMES = Path(__file__).parents[2] / "fixtures" / "frames"
COMMANDS = {
    "config": "get_config",
    "states": "get_states",
    "services": "get_services",
    "entities": "config_entity_registry_list",
    "devices": "config_device_registry_list",
    "areas": "config_area_registry_list",
    "floors": "config_floor_registry_list",
    "labels": "config_label_registry_list",
    "config_entries": "config_entries_get",
    "manifests": "manifest_list",
    "users": "config_auth_list",
    "persons": "person_list",
}


@lru_cache(maxsize=4)
def _text(version: str) -> dict[str, str]:
    with (FRAMES / version / "commands.tar.zst").open("rb") as file:
        raw = zstandard.ZstdDecompressor().stream_reader(file).read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        files = {Path(name).stem: archive.extractfile(name) for name in archive.getnames() if name.endswith(".json")}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def documents(version: str, when: str = "second") -> dict[str, Any]:
    """Return fresh documents: ``first`` before the recording, ``second`` after it."""
    texts = _text(version)
    found = {
        name: json.loads(texts[f"{when}.{command}"])["response"].get("result") for name, command in COMMANDS.items()
    }
    written = yaml.safe_load((Path(__file__).parent / "programs.yaml").read_text(encoding="utf-8"))
    ids = {
        state["attributes"]["id"]: state["entity_id"]
        for state in found["states"]
        if state["entity_id"].startswith("automation.")
    }
    found["automations"] = {ids[config["id"]]: config for config in written["automation"]}
    loop_a = json.loads(texts[f"{when}.automation_config"])["response"]["result"]["config"]
    found["automations"][ids["loop_a"]] = loop_a
    found["scripts"] = {f"script.{name}": config for name, config in written["script"].items()}
    return found


def frames(version: str) -> list[dict[str, Any]]:
    """Return all events of the recorded subscription, in order of arrival."""
    with (FRAMES / version / "A_all.frames.ndjson.zst").open("rb") as file:
        raw = zstandard.ZstdDecompressor().stream_reader(file).read()
    return [frame["event"] for line in raw.splitlines() if "event" in (frame := json.loads(line))]


def home_of(found: dict[str, Any]) -> HomeGraph:
    """Return a graph that has taken all documents."""
    graph = HomeGraph("home")
    for name, content in found.items():
        graph.put(name, content)
    return graph
