"""Tokens of one stack: random at first start, kept for the next, readable by their owner only."""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

TOKEN_BYTES = 32
"""256 bits: not guessable."""
OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class Tokens:
    """One secret per role."""

    agent: str
    operator: str
    viewer: str


def tokens_path(home: Path) -> Path:
    """Where a stack keeps its tokens."""
    return home / "tokens.json"


def load_or_create_tokens(home: Path) -> Tokens:
    """Tokens of this home; made once, written with mode 0600 before any content is in the file."""
    path = tokens_path(home)
    known = read_tokens(home)
    if known is not None:
        return known
    tokens = Tokens(*(secrets.token_urlsafe(TOKEN_BYTES) for _ in range(3)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=OWNER_ONLY)
    path.write_text(json.dumps(asdict(tokens)), encoding="utf-8")
    return tokens


def read_tokens(home: Path) -> Tokens | None:
    """Tokens of a home that was used before; None when there are none, or none that can be read."""
    try:
        return Tokens(**json.loads(tokens_path(home).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
