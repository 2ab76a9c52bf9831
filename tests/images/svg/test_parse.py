import pytest

from flowmodel.images.svg.parse import parse_svg
from tests.images.svg.drawing import NS, RED, pixel, svg_of

BODY = '<rect width="16" height="16" fill="red"/>'
IMAGE = f'<svg {NS} viewBox="0 0 16 16">{BODY}</svg>'
# In the style of a well-known drawing program.
ENTITIES = """<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [
  <!ENTITY ns_extend "http://ns.adobe.com/Extensibility/1.0/"><!ENTITY ns_svg "http://www.w3.org/2000/svg">
  <!ENTITY wash "fill:red"> <!ATTLIST svg xmlns:a3 CDATA #IMPLIED a3:scriptImplementation CDATA #IMPLIED>
]>"""


@pytest.mark.parametrize(
    "content",
    [
        (
            f'{ENTITIES}<svg xmlns="&ns_svg;" xmlns:x="&ns_extend;" viewBox="0 0 16 16"><x:meta/>'
            '<rect width="16" height="16" style="&wash;"/></svg>'
        ).encode(),
        f'<?xml version="1.0" encoding="UTF-16"?>{IMAGE}'.encode("utf-16"),
        f'<?xml version="1.0" encoding="UTF-16"?>{IMAGE}'.encode("utf-16-be"),
        f'<?xml version="1.0" encoding="utf-16"?>{IMAGE}'.encode(),
        f'<?xml version="1.0" encoding="ISO-8859-1"?>{IMAGE}<!-- Säge -->'.encode("latin-1"),
        f'<?xml version="1.0" encoding="windows-1252"?><!-- “Säge” -->{IMAGE}'.encode("cp1252"),
        f'<svg viewBox="0 0 16 16"><desc>cut out of a page</desc>{BODY}</svg>'.encode(),
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><defs><path id="a" d="M0 0h16v16H0z" fill="red"/></defs>'
        b'<use xlink:href="#a"/></svg>',
        b'<s:svg xmlns:s="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><s:rect width="16" height="16" fill="red"/></s:svg>',
        f'<?xml-stylesheet href="outside.css"?>{IMAGE}'.encode(),
        svg_of(f"<script>alert('&lt;')</script>{BODY}"),
    ],
    ids=[
        "entities",
        "utf-16",
        "utf-16-be",
        "wrong-utf-16",
        "latin-1",
        "cp1252",
        "no-namespace",
        "no-xlink",
        "prefix",
        "stylesheet",
        "script",
    ],
)
def test_xml_that_browsers_read_is_read(content: bytes) -> None:
    assert pixel(content) == RED


BOMB = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 20}">' for i in range(9))


@pytest.mark.parametrize(
    ("declared", "used"),
    [
        (f'<!ENTITY a0 "ha ha ha ha">{BOMB}', "&a9;"),
        ('<!ENTITY a0 "&a0;">', "&a0;"),
        (f'<!ENTITY a0 "{"ha" * 50_000}">', "&a0;" * 3_000),
    ],
    ids=["nested", "itself", "long"],
)
def test_entities_that_grow_without_bound_are_refused(declared: str, used: str) -> None:
    content = f"<!DOCTYPE svg [{declared}]><svg {NS}><desc>{used}</desc></svg>".encode()
    with pytest.raises(ValueError, match="declares XML entities that are external or expand without bound"):
        parse_svg(content)


@pytest.mark.parametrize(
    ("declared", "used"),
    [
        ('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;"),
        ('<!ENTITY a SYSTEM "file:///etc/passwd">', ""),
        ('<!ENTITY a PUBLIC "x" "http://127.0.0.1/x">', "&a;"),
        ('<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;', "&b;"),
    ],
)
def test_entities_that_lie_outside_are_refused(declared: str, used: str) -> None:
    content = f"<!DOCTYPE svg [{declared}]><svg {NS}><desc>{used}</desc></svg>".encode()
    with pytest.raises(ValueError, match="external"):
        parse_svg(content)


def test_a_document_type_that_lies_outside_is_not_fetched() -> None:
    assert pixel(f'<!DOCTYPE svg SYSTEM "file:///etc/passwd">{IMAGE}'.encode()) == RED


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg">caf\xe9</svg>', r"corrupt SVG \(.*encoding"),
        (b'<?xml version="1.0" encoding="klingon"?><svg/>', "corrupt SVG"),
        (f"<svg {NS}>&nbsp;</svg>".encode(), r"corrupt SVG \(Entity 'nbsp' not defined"),
        (f"<svg {NS} id=1/>".encode(), "corrupt SVG"),
        (b"<x:svg/>", "not an SVG image|corrupt SVG"),
        (b"{}", "does not start with an element"),
    ],
)
def test_what_browsers_do_not_read_either_has_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_svg(content)
    assert "\n" not in str(caught.value)


def test_what_a_program_tells_itself_is_taken_out_and_text_behind_it_stays() -> None:
    root = parse_svg(f'<svg {NS} xmlns:i="urn:i" i:zoom="3"><desc>a<i:x>b</i:x>c</desc></svg>'.encode())
    assert "".join(root.itertext()) == "ac"
    assert not root.attrib
