"""What confines a runtime: found by the confined process itself, and judged by whoever started it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import StrEnum

from asepsis.domain.documents import Document, Fields
from asepsis.errors.confinement import RuntimeUnconfined


class Ring(StrEnum):
    """What the outer ring is made of."""

    BUBBLEWRAP = "bubblewrap"
    NAMESPACES = "namespaces"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What holds around one runtime process.

    ``landlock`` is the version of the kernel's interface, 0 without it; ``own_files`` says whether the process sees
    a tree of files of its own; ``limits`` is the kind of control group, or ``none``.
    """

    ring: Ring
    unprivileged: bool
    no_capabilities: bool
    no_new_privileges: bool
    no_network: bool
    own_files: bool
    landlock: int
    filtered_calls: bool
    limits: str = "none"

    def missing(self) -> tuple[str, ...]:
        """What data that is not synthetic needs and this does not give, in words; control groups are welcome extra."""
        needed = {
            "an unprivileged user": self.unprivileged,
            "no capabilities": self.no_capabilities,
            "no new privileges": self.no_new_privileges,
            "no network": self.no_network,
            "no other files": self.own_files and (self.landlock > 0 or self.ring is Ring.BUBBLEWRAP),
            "a filter of system calls": self.filtered_calls,
        }
        return tuple(name for name, given in needed.items() if not given)

    def require(self) -> None:
        """Raise RuntimeUnconfined unless everything that is needed holds."""
        if self.missing():
            raise RuntimeUnconfined(missing="without " + ", ".join(self.missing()))

    @property
    def word(self) -> str:
        """One word for the record: what the outer ring is, and whether everything holds that real data need."""
        return f"{self.ring.value}:{'part' if self.missing() else 'whole'}"

    def to_document(self) -> Document:
        """The document form; :func:`read_confinement` reads it."""
        return {**asdict(self), "ring": self.ring.value}

    @property
    def summary(self) -> str:
        """One line for people."""
        given = [name.replace("_", " ") for name in _FLAGS if getattr(self, name)]
        landlock = [f"Landlock {self.landlock}"] if self.landlock else []
        limits = [f"{self.limits} limits"] if self.limits != "none" else []
        return ", ".join([self.ring.value, *given, *landlock, *limits])


_FLAGS = tuple(field.name for field in fields(Confinement) if field.type == "bool")


def read_confinement(value: object) -> Confinement:
    """Read a report. Raises DocumentMalformed."""
    document = Fields(value, document="confinement")
    report = Confinement(
        ring=document.choice("ring", Ring),
        landlock=document.integer("landlock"),
        limits=document.text("limits"),
        **{name: document.flag(name) for name in _FLAGS},
    )
    document.close()
    return report
