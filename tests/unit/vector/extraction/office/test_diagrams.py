from services.vector.extraction.office.diagrams import DIAGRAMS, points
from services.vector.extraction.xml_tree import parse_xml


def test_points_stand_below_those_they_belong_to() -> None:
    texts = {"1": "Head", "2": "Left", "3": "Right", "4": "Below left", "5": "Loose"}
    nodes = "".join(
        f'<d:pt modelId="{name}"><d:t><a:p><a:r><a:t>{text}</a:t></a:r><a:br/></a:p><a:p/></d:t></d:pt>'
        for name, text in texts.items()
    )
    belongs = [("0", "1", 0), ("1", "3", 1), ("1", "2", 0), ("2", "4", 0), ("4", "1", 0), ("4", "9", 1)]
    lines = "".join(
        f'<d:cxn srcId="{above}" destId="{below}" srcOrd="{order}"/>' for above, below, order in belongs
    )
    xml = (
        f'<d:dataModel xmlns:d="{next(iter(DIAGRAMS))}" xmlns:a="http://schemas.openxmlformats.org/drawingml/'
        f'2006/main"><d:ptLst><d:pt modelId="0" type="doc"/>{nodes}</d:ptLst><d:cxnLst>{lines}'
        '<d:cxn type="presOf" srcId="0" destId="5"/></d:cxnLst></d:dataModel>'
    )
    assert [(depth, text.strip()) for depth, text in points(parse_xml(xml.encode(), DIAGRAMS))] == [
        (0, "Head"),
        (1, "Left"),
        (2, "Below left"),
        (1, "Right"),
        (0, "Loose"),
    ]
