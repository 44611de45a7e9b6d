"""The Prometheus endpoint as Prometheus' own parser reads it."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families


class Metrics:
    """One scrape."""

    def __init__(self, server):
        with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10) as response:
            assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
            self.families = {family.name: family for family in text_string_to_metric_families(response.read().decode())}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    def find(self, name: str, **labels: str) -> list:
        return [
            sample
            for sample in self._samples
            if sample.name == name and all(sample.labels.get(key) == value for key, value in labels.items())
        ]

    def sum(self, name: str, **labels: str) -> float:
        """Over all samples that have these labels; 0 where there is none."""
        return sum(sample.value for sample in self.find(name, **labels))
