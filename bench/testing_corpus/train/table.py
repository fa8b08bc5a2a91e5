"""Tables in plain text."""


def table(rows, header=None, align="left"):
    """Rows as lines with columns of one width each."""
    lines = [list(map(str, row)) for row in rows]
    if header is not None:
        lines.insert(0, list(header))
    if not lines:
        return ""
    count = max(len(line) for line in lines)
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(count)]
    shown = []
    for line in lines:
        cells = []
        for i in range(count):
            cell = line[i] if i < len(line) else ""
            cells.append(cell.rjust(widths[i]) if align == "right" else cell.ljust(widths[i]))
        shown.append(" | ".join(cells).rstrip())
    if header is not None:
        shown.insert(1, "-+-".join("-" * width for width in widths))
    return "\n".join(shown)
