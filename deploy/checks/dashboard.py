"""The dashboard as Grafana needs it, and its queries as rules that promtool can check.

dashboard.py DASHBOARD DATASOURCE: prints the rules, or ends with what is wrong.
"""

import json
import sys
from pathlib import Path

import yaml

board = json.loads(Path(sys.argv[1]).read_text())
sources = yaml.safe_load(Path(sys.argv[2]).read_text())["datasources"]
uids = {it["uid"] for it in sources}
rules = []
places = set()
ids = set()
for panel in board["panels"]:
    title, at = panel["title"], panel["gridPos"]
    assert panel["id"] not in ids, f"{title}: its id is another's"
    ids.add(panel["id"])
    assert at["x"] + at["w"] <= 24, f"{title}: it is wider than the board"
    for x in range(at["x"], at["x"] + at["w"]):
        for y in range(at["y"], at["y"] + at["h"]):
            assert (x, y) not in places, f"{title}: it lies on another"
            places.add((x, y))
    for it in (panel, *panel["targets"]):
        assert it["datasource"]["uid"] in uids, f"{title}: its data source is not provided"
    for target in panel["targets"]:
        expr = target["expr"].replace("$__rate_interval", "1m")
        assert "$" not in expr, f"{title}: it has a variable that is not known"
        rules.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": expr})
assert board["uid"] and board["title"] and rules, "it has no uid, title or queries"
print(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
