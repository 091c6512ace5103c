"""What an entry of source.yaml says of a mainframe file: how its records are cut, its kinds of records, its numbers.

A key that has no effect with the other keys is refused. The names are those of Cobrix and IBM, in lower case.
"""

from __future__ import annotations

from typing import Final

from asepsis.harmonise.readers.copybook import Layout, Span, Storage, field_name
from asepsis.harmonise.readers.ebcdic import Options
from asepsis.harmonise.readers.ebcdic_framing import ByteOrder, Framing, RecordFormat
from asepsis.harmonise.readers.ebcdic_segments import Segments
from asepsis.harmonise.readers.ebcdic_values import FloatFormat
from asepsis.harmonise.section import Section

_MAX_BYTES: Final = 1 << 20
_OF_CHARACTERS: Final = frozenset({Storage.TEXT, Storage.DIGITS, Storage.ZONED, Storage.EDITED})


def read_options(section: Section, layout: Layout) -> Options:
    """Understand the keys of an entry that only mainframe files have.

    Raises:
        MappingMalformed: a key is of the wrong type, or contradicts another or the copybook.
    """
    has_floats = any(span.storage is Storage.FLOAT for span in layout.spans)
    return Options(
        framing=_framing(section, layout),
        floating_point_format=(
            section.choice("floating_point_format", FloatFormat, FloatFormat.IBM) if has_floats else FloatFormat.IBM
        ),
        variable_size_occurs=section.flag("variable_size_occurs") if layout.tables else False,
        segments=_segments(section, layout),
    )


def _framing(section: Section, layout: Layout) -> Framing:
    form = section.choice("record_format", RecordFormat, RecordFormat.FIXED)
    fixed, variable = form is RecordFormat.FIXED, form in {RecordFormat.VARIABLE, RecordFormat.VARIABLE_BLOCKED}
    blocked = form is RecordFormat.VARIABLE_BLOCKED
    if form is RecordFormat.DELIMITED and not all(span.storage in _OF_CHARACTERS for span in layout.spans):
        raise section.malformed("record_format", "lines cannot hold binary or packed numbers")
    length_field = _length_field(section, layout) if fixed else None
    return Framing(
        record_format=form,
        record_length=_bytes(section, "record_length") or None if fixed and length_field is None else None,
        record_length_field=length_field,
        rdw=section.choice("rdw", ByteOrder, ByteOrder.BIG) if variable else ByteOrder.BIG,
        rdw_adjustment=_adjustment(section, "rdw_adjustment") if variable or length_field is not None else 0,
        bdw=section.choice("bdw", ByteOrder, ByteOrder.BIG) if blocked else ByteOrder.BIG,
        bdw_adjustment=_adjustment(section, "bdw_adjustment") if blocked else 0,
        file_start_offset=_bytes(section, "file_start_offset"),
        file_end_offset=_bytes(section, "file_end_offset"),
        record_start_offset=_bytes(section, "record_start_offset"),
        record_end_offset=_bytes(section, "record_end_offset"),
    )


def _length_field(section: Section, layout: Layout) -> str | None:
    name = section.text("record_length_field", None)
    if name is None:
        return None
    span = _span(section, layout, "record_length_field", name)
    if any(span.offset >= table.offset for table in layout.tables) or span.storage is Storage.TEXT:
        raise section.malformed("record_length_field", "a number before all tables of variable size is expected")
    return span.name


def _span(section: Section, layout: Layout, key: str, name: str) -> Span:
    found = [span for span in layout.spans if span.name == field_name(name)]
    if not found:
        raise section.malformed(key, "the copybook has no such field")
    return found[0]


def _bytes(section: Section, key: str) -> int:
    number = section.number(key, 0)
    if number > _MAX_BYTES:
        raise section.malformed(key, f"at most {_MAX_BYTES} bytes are expected")
    return int(number)


def _adjustment(section: Section, key: str) -> int:
    number = section.signed(key, 0)
    if abs(number) > _MAX_BYTES:
        raise section.malformed(key, f"at most {_MAX_BYTES} bytes are expected")
    return int(number)


def _segments(section: Section, layout: Layout) -> Segments | None:
    name = section.text("segment_field", None)
    if name is None:
        return None
    span = _span(section, layout, "segment_field", name)
    groups = _names(section, "segments")
    groups = {key: field_name(group) for key, group in groups.items()}
    if not groups or not set(groups.values()) <= layout.groups:
        raise section.malformed("segments", "for each id the name of a group of the copybook is expected")
    parents = _names(section, "segment_parents")
    segments = Segments(field=span.name, groups=groups, parents=parents)
    if segments.group(span) is not None:
        raise section.malformed("segment_field", "the field of the id must be outside the groups that it chooses")
    if any(span.offset >= table.offset for table in layout.tables):
        raise section.malformed("segment_field", "the field of the id must be before all tables of variable size")
    for child, parent in parents.items():
        known = {child, parent} <= set(groups)
        if not known or child in segments.above(parent) or child == parent or groups[child] == groups[parent]:
            raise section.malformed("segment_parents", "ids of different groups are expected, without a circle")
    return segments


def _names(section: Section, key: str) -> dict[str, str]:
    found = section.values(key)
    if not all(isinstance(value, str) for value in found.values()):
        raise section.malformed(key, "names with texts are expected")
    return {str(name): str(value) for name, value in found.items()}
