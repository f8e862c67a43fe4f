"""Headers of the pages that the service shows to people: nothing from elsewhere, nothing framed."""

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
FORBIDDEN = dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")


def page_headers(**allowed: str) -> dict[str, str]:
    """Returns the headers of a page.

    Args:
        **allowed: What its policy allows, by directive, with `_` for `-`.

    Example:

    >>> page_headers(img_src="data:")["content-security-policy"].rpartition("; ")[2]
    'img-src data:'
    """
    rules = FORBIDDEN | {name.replace("_", "-"): value for name, value in allowed.items()}
    policy = "; ".join(f"{name} {value}" for name, value in rules.items())
    return {"content-security-policy": policy, **ALWAYS}
