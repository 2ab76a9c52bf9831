"""Parses the bytes of an SVG file as a browser's XML parser does."""

import re
from typing import TypeAlias

from lxml import etree

SVG = "http://www.w3.org/2000/svg"
XHTML = "http://www.w3.org/1999/xhtml"
_XLINK = "http://www.w3.org/1999/xlink"
_XML = "http://www.w3.org/XML/1998/namespace"

ANIMATIONS = ("animate", "animateTransform", "animateMotion", "animateColor", "set")

_REFERRING = ("image", "feImage", "use")
_WRONG = re.compile(rb"^(<\?xml[^>]{0,200}?)\s+encoding\s*=\s*[\"'](?:utf-?(?:16|32)|ucs-?[24])(?:le|be)?[\"']", re.IGNORECASE)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")

Element: TypeAlias = etree._Element


def parse_svg(content: bytes) -> Element:
    """Parse `content` and return its root element without comments, elements of editors, scripts and `xlink:`.

    Declared encodings are supported, internal entities are expanded, and elements without a namespace, as in markup copied from
    a web page, are SVG. Raises ValueError with a short reason: not SVG, not well-formed, entities that grow without bound or
    are external, or a reference to another file.
    """
    root = _tree(_trimmed(content))
    if local(root) != "svg":
        raise ValueError(f"not an SVG image: its root element is <{local(root)[:40]}>")
    _normalize(root)
    return root


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def is_svg(element: Element) -> bool:
    """Whether the element is SVG, as opposed to HTML in a `foreignObject`."""
    return str(element.tag).startswith(f"{{{SVG}}}")


def _trimmed(content: bytes) -> bytes:
    if content.startswith(_UTF_16):
        return content
    # Spaces before the declaration are not allowed but harmless; so is a wrong "utf-16" in it.
    return _WRONG.sub(rb"\1", content.removeprefix(b"\xef\xbb\xbf").lstrip(), count=1)


def _parser(recover: bool) -> etree.XMLParser:
    # Without `huge_tree`, because its limits stop entity bombs and excessive nesting.
    return etree.XMLParser(
        resolve_entities="internal",
        no_network=True,
        load_dtd=False,
        attribute_defaults=False,
        remove_comments=True,
        remove_pis=True,
        strip_cdata=True,
        huge_tree=False,
        recover=recover,
    )


def _tree(content: bytes) -> Element:
    if not content:
        raise ValueError("corrupt SVG (no element found)")
    if not content.startswith((b"<", *_UTF_16)):
        raise ValueError("not an SVG image: it does not start with an element")
    parser = _parser(recover=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        root = _without_namespaces(content, parser, error)
    except (ValueError, LookupError) as error:  # unknown encoding
        raise ValueError(f"corrupt SVG ({_short(error)})") from None
    if root is None:
        raise ValueError("corrupt SVG (no element found)")
    internal = root.getroottree().docinfo.internalDTD
    for entity in internal.iterentities() if internal is not None else ():
        if entity.system_url:
            raise ValueError(f"declares an external entity ({str(entity.system_url)[:60]}); save it as plain SVG")
    return root


def _without_namespaces(content: bytes, parser: etree.XMLParser, error: etree.XMLSyntaxError) -> Element:
    """Parse a file whose only error is undeclared prefixes, which markup copied from web pages may have."""
    problems = list(parser.error_log)
    if problems and all(problem.domain_name == "NAMESPACE" for problem in problems):
        root = etree.fromstring(content, _parser(recover=True))
        if root is not None:
            return root
    entities = [problem for problem in problems if "ntity" in problem.message]
    if entities and b"<!ENTITY" in content:
        why = _short(entities[0].message)
        raise ValueError(f"declares XML entities that are external or expand without bound ({why}); save it as plain SVG")
    raise ValueError(f"corrupt SVG ({_short(error)})")


def _normalize(root: Element) -> None:
    bare = not is_svg(root)
    for element in list(root.iter()):
        tag = element.tag
        if not isinstance(tag, str):  # an entity that was not expanded
            _remove(element)
            continue
        if bare and "}" not in tag:
            element.tag = f"{{{SVG}}}{tag}"
        elif not tag.startswith((f"{{{SVG}}}", f"{{{XHTML}}}")):
            _remove(element)  # data of a drawing program
            continue
        if local(element) == "script":
            _remove(element)
            continue
        _normalize_attributes(element)
        if is_svg(element) and local(element) in _REFERRING:
            _check_reference(element)


def _normalize_attributes(element: Element) -> None:
    for name in list(element.attrib):
        namespace, _, bare = str(name).rpartition("}")
        prefix, _, prefixed = bare.rpartition(":")  # an undeclared prefix
        if namespace == f"{{{_XLINK}" or prefix == "xlink":
            value = element.attrib.pop(name)
            if (prefixed or bare) == "href" and "href" not in element.attrib:
                element.set("href", value)
        elif (namespace and namespace != f"{{{_XML}") or prefix:
            del element.attrib[name]


def _check_reference(element: Element) -> None:
    target = (element.get("href") or "").strip()
    if target and not target.startswith(("#", "data:")):
        raise ValueError(f"refers to another file ({target[:60]}); embed it")


def _remove(element: Element) -> None:
    parent = element.getparent()
    if parent is not None:
        previous, tail = element.getprevious(), element.tail or ""
        if previous is not None:
            previous.tail = (previous.tail or "") + tail
        else:
            parent.text = (parent.text or "") + tail
        parent.remove(element)


def _short(error: object) -> str:
    text = error.msg if isinstance(error, etree.XMLSyntaxError) and error.msg else str(error)
    return (text.splitlines() or [type(error).__name__])[0][:120]
