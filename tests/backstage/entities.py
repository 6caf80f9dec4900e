"""Entities as Mainstem's sink sends them."""

from typing import Any

LOCATIONS = ("backstage.io/managed-by-location", "backstage.io/managed-by-origin-location")


def component(name: str, *, shard: int = 3, description: str = "", **spec: Any) -> dict[str, Any]:
    """Return a component that Backstage takes, unless *spec* spoils it; a None in *spec* is an absent field."""
    metadata = {"name": name, "namespace": "default", "annotations": dict.fromkeys(LOCATIONS, f"mainstem:{shard}")}
    whole = {"type": "service", "lifecycle": "production", "owner": "team-pay", **spec}
    return {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {**metadata, **({"description": description} if description else {})},
        "spec": {key: value for key, value in whole.items() if value is not None},
    }


def ref(name: str) -> str:
    return f"component:default/{name}"
