#!/usr/bin/env python3
"""Serves ClusterIP Services of IPv4 by plain nft commands, for the lab's pipe."""
import json, subprocess, sys

TABLE = "ip example"
slices, services = {}, {}


def nft(text):
    done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError("nft: " + done.stderr.strip())


def ruleset(cidr):
    """The whole table: one rule a Service port, with its endpoints in a map."""
    rules, masquerade = [], []
    for (ns, name), svc in sorted(services.items()):
        vip = svc["spec"]["clusterIP"]
        for port in svc["spec"]["ports"]:
            proto, ready = port["protocol"].lower(), []
            for s in slices.values():
                if s["metadata"]["namespace"] != ns or s["metadata"]["labels"]["kubernetes.io/service-name"] != name:
                    continue
                to = [p["port"] for p in s["ports"] if p.get("name", "") == port.get("name", "")]
                ready += [f'{e["addresses"][0]} . {to[0]}' for e in s.get("endpoints") or [] if to and e["conditions"]["ready"]]
            match = f'ip daddr {vip} {proto} dport {port["port"]}'
            if ready:
                choice = ", ".join(f"{i} : {e}" for i, e in enumerate(sorted(ready)))
                rules.append(f"{match} meta l4proto {proto} dnat ip to numgen random mod {len(ready)} map {{ {choice} }}")
            else:
                masquerade.append(f"{match} reject")
    outside = f"ip saddr != {cidr} " if cidr else ""
    hooks = "".join(f"chain {h} {{ type nat hook {h} priority -100; jump services; }}\n" for h in ("prerouting", "output"))
    refuse = "".join(f"chain no-{h} {{ type filter hook {h} priority 0; jump refused; }}\n" for h in ("input", "forward", "output"))
    return (f"table {TABLE} {{\nchain services {{\n" + "\n".join(rules) + "\n}\nchain refused {\n" + "\n".join(masquerade) + "\n}\n" + hooks + refuse +
            f"chain postrouting {{ type nat hook postrouting priority 100; ct status dnat {outside}masquerade; ct status dnat fib saddr type local masquerade; }}\n}}\n")


for line in sys.stdin:
    ask = json.loads(line)
    do, answer = ask["do"], None
    try:
        if do == "hello":
            cidr, answer = ask["node"].get("clusterCIDR"), {"did": "hello", "protocol": 1, "name": "example", "version": "1"}
        elif do in ("set", "delete"):
            o = ask["object"]
            known = services if o["kind"] == "Service" else slices
            key = (o["metadata"]["namespace"], o["metadata"]["name"])
            known.pop(key) if do == "delete" else known.update({key: o})
        elif do == "sync":
            nft(f"add table {TABLE}\ndelete table {TABLE}\n" + ruleset(cidr))
            answer = {"did": "programmed", "id": ask["id"], "objects": len(services), "tool_calls": 1}
        elif do == "close":
            nft(f"add table {TABLE}\ndelete table {TABLE}\n")
            answer = {"did": "closed", "id": ask["id"]}
    except Exception as e:  # told to the lab, which says what became of it
        answer = {"did": "error", "id": ask.get("id", 0), "error": str(e)}
    if answer:
        print(json.dumps(answer), flush=True)
