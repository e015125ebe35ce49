"""A rule of ``nft -j`` as people read it, for messages: nothing is judged by it."""

from __future__ import annotations

from typing import Any


def rule_text(rule: Any) -> str:
    """Return ``'meta mark 1 accept' in the chain input (handle 7)``, near to what nft prints."""
    words = " ".join(_statement(each) for each in rule.get("expr", ()))
    handle = rule.get("handle")
    place = f"in the chain {rule.get('chain')}"
    return f"'{words}' {place}" + (f" (handle {handle})" if handle is not None else "")


def _statement(entry: Any) -> str:
    if not isinstance(entry, dict) or len(entry) != 1:
        return str(entry)
    ((kind, body),) = entry.items()
    if kind == "match":
        sign = "" if body["op"] in {"==", "in"} else f"{body['op']} "
        return f"{_value(body['left'])} {sign}{_value(body['right'])}"
    if kind == "vmap":
        return f"{_value(body['key'])} vmap {_value(body['data'])}"
    if kind == "mangle":
        return f"{_value(body['key'])} set {_value(body['value'])}"
    if kind in {"jump", "goto"}:
        return f"{kind} {body['target']}"
    if kind == "xt":
        return f"{(body or {}).get('type', 'xt')} {(body or {}).get('name', '')}".strip()
    return f"{kind} ..." if isinstance(body, dict) and kind != "counter" else kind


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " : ".join(map(_value, value))
    if not isinstance(value, dict) or len(value) != 1:
        return str(value)
    ((kind, body),) = value.items()
    if kind == "set":
        return "{ " + ", ".join(map(_value, body[:4])) + (", ..." if body[4:] else "") + " }"
    if kind in {"concat", "range", "&", "|", "^"}:
        sign = {"concat": " . ", "range": "-"}.get(kind, f" {kind} ")
        return sign.join(map(_value, body))
    if kind == "prefix":
        return f"{body['addr']}/{body['len']}"
    if kind == "elem":
        return _value(body["val"])
    if isinstance(body, dict):
        shown = [] if kind == "payload" else [kind]
        return " ".join([*shown, *(str(part) for part in body.values() if isinstance(part, str))])
    return kind if body is None else f"{kind} {body}"
