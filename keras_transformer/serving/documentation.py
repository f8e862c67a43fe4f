"""A page that describes the API, made of its OpenAPI description: no script, no network."""

import json
from html import escape

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 0 auto; padding: 1rem; }
pre, code { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { overflow-x: auto; padding: 0.5rem; border: 1px solid #8888; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; }
section { border-top: 1px solid #8888; }
"""


def documentation_page(description: dict) -> str:
    """Returns an HTML page.

    Args:
        description: Dict of an OpenAPI description.
    """
    title = f"{description['info']['title']} {description['info']['version']}"
    operations = [
        _operation(path, method, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = description.get("components", {}).get("schemas", {})
    tables = [_schema(name, schema) for name, schema in schemas.items()]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>"
        '<p>The same as data: <a href="openapi.json">openapi.json</a></p>'
        f"{''.join(operations)}<h2>Fields</h2>{''.join(tables)}</html>"
    )


def _operation(path: str, method: str, operation: dict) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    answers = "".join(
        f"<tr><td>{escape(status)}<td>{escape(answer['description'])}<td>{_link(answer)}"
        for status, answer in operation["responses"].items()
    )
    request = f"<p>Body: {_type(body['schema'])}, as JSON</p>" if body else ""
    return (
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(operation.get('description', operation.get('summary', '')))}</p>{request}"
        f"<table><tr><th>Status<th>Meaning<th>Answer{answers}</table></section>"
    )


def _link(answer: dict) -> str:
    content = answer.get("content", {}).get("application/json", {})
    return _type(content["schema"]) if content.get("schema") else ""


def _schema(name: str, schema: dict) -> str:
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{'' if field in required else ' (optional)'}"
        f"<td>{_type(about)}<td>{escape(about.get('description', ''))}{_default(about)}"
        for field, about in schema.get("properties", {}).items()
    )
    return (
        f'<section id="{escape(name)}"><h3>{escape(name)}</h3>'
        f"<p>{escape(schema.get('description', ''))}</p><table>{rows}</table></section>"
    )


def _default(about: dict) -> str:
    default = about.get("default")
    return "" if default is None else f" Default: <code>{escape(json.dumps(default))}</code>."


def _type(schema: dict) -> str:
    """Returns the type of a field, with a link to its fields if it has such."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return escape(schema.get("type", "any"))
