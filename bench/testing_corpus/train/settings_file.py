"""Settings in a simple format."""


def parse_settings(text):
    """Sections of keys and values:

    [server]
    port = 80   # a comment
    debug = yes
    """
    sections = {}
    current = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        if line.startswith("["):
            if not line.endswith("]"):
                raise ValueError(f"line {number}: the section does not end")
            current = line[1:-1].strip()
            sections.setdefault(current, {})
        elif "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            if current is None:
                raise ValueError(f"line {number}: outside of a section")
            if value.isdigit():
                sections[current][key] = int(value)
            elif value in ("yes", "no"):
                sections[current][key] = value == "yes"
            else:
                sections[current][key] = value
        else:
            raise ValueError(f"line {number}: neither a section nor a setting")
    return sections
