from services.vector.extraction.model import Place
from tests.unit.vector.extraction.samples import blocks, read

PYTHON = '''import os

# Two lines
# about it.
@decorator
class Thing(Base):
    """def not_one(x):

    def nor_this(self) -> None:
    """

    def method(self, a: int) -> None:
        if a:
            print(a)

def top(x):
    return x
'''


def headings(code: str) -> list[tuple[int, str]]:
    extraction = read("source", code.encode())
    return [(block.level, block.label) for block in extraction.blocks if block.label]


def test_the_text_is_the_file_and_definitions_are_headings() -> None:
    extraction = read("source", PYTHON.encode())
    assert extraction.text == PYTHON
    assert [(block.level, block.label) for block in extraction.blocks if block.label] == [
        (1, "Thing"), (2, "method"), (1, "top"),
    ]  # fmt: skip
    assert ("heading", 1, "# Two lines\n# about it.\n@decorator\nclass Thing(Base):") in blocks(extraction)
    assert extraction.places == (Place(0, "", 0, 1),)


def test_languages_with_braces() -> None:
    assert headings(
        "export class Foo<T> extends Bar {\n  constructor(private b: string) {\n    super();\n  }\n"
        "  async run(x: number): Promise<void> {\n    if (x) {\n      return go(x);\n    }\n  }\n}\n"
        "export const handler = async (event: Event) => {\n};\nfunction top() { return 2; }\n"
    ) == [(1, "Foo"), (2, "constructor"), (2, "run"), (1, "handler"), (1, "top")]
    assert headings("func (s *Server) Run(ctx Context) error {\n\tif err := x(); err != nil {\n\t}\n}\n") == [
        (1, "Run")
    ]
    assert headings(
        "static int sum(int a, int b)\n{\n    return a + b;\n}\nint main(void) {\n    while (1) {\n    }\n}\n"
    ) == [(1, "sum"), (1, "main")]
    assert headings(
        "public class E extends F {\n    public static Map<String, List<Integer>> find(String a) throws X {\n"
        "        synchronized (this) {\n        }\n        call(a);\n    }\n}\n"
    ) == [(1, "E"), (2, "find")]
    assert headings("impl Point {\n    pub fn new(x: i32) -> Self {\n    }\n}\n") == [
        (1, "Point"),
        (2, "new"),
    ]
    assert headings("CREATE TABLE IF NOT EXISTS users (\n  id INT\n);\n") == [(1, "users")]


def test_lines_are_counted_through_a_long_file() -> None:
    code = "".join(f"value_{n} = {n}\n" for n in range(5_000))
    extraction = read("source", code.encode())
    assert len(extraction.places) > 3
    for place in extraction.places:
        assert extraction.text[place.byte_start :].startswith(f"value_{place.line - 1} = ")


def test_lines_that_kill_regular_expressions_take_no_time() -> None:
    code = (
        "a " * 200 + "\n" + "(" * 390 + "\n" + "static " * 50 + "(\n" + "a<" * 190 + "\n" + "const a = (" * 30
    )
    assert read("source", code.encode()).text == code
