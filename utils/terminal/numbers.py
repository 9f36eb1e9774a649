"""Numbers in sentences."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 face`, `12,000 faces`: a count with commas between thousands, and its noun; plural: of a noun that takes more
    than an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
