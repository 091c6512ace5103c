"""Times a linkage run against exact joins on the raw columns, on the same generated records, and prints the ratio.

Run: python benchmarks/bench_linkage.py [RECORDS_PER_OWNER]. Half of each owner's persons are known to the other.
The records are drawn from a seeded generator: names with a Zipf-like frequency, one field in ten mistyped or absent.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from asepsis.domain.names import PartyId
from asepsis.engines.linkage import link

RECORDS = 100_000
OWNERS = ("northgate", "riverside")
GENERATE = """
CREATE TABLE truth AS SELECT i AS person, hash(i) AS h FROM range({persons}) t(i);
CREATE MACRO draw(h, salt, n) AS (hash(h, salt) % n)::BIGINT;
CREATE MACRO name(n) AS translate((n * 7919 + 104729)::VARCHAR, '0123456789', 'aeionrstlm');
CREATE MACRO common(h, salt, n) AS pow(n, draw(h, salt, 100000) / 100000.0)::BIGINT;
CREATE MACRO worn(value, h, salt, owner) AS CASE draw(h, salt || owner, 20)
    WHEN 0 THEN NULL WHEN 1 THEN value[:2] || value[4:] ELSE value END;
"""
COPY = """
COPY (
    SELECT draw(h, 'pid{owner}', 1000000000000) AS person_id, NULL::VARCHAR AS mrn,
        worn((100000000 + person * 7 % 900000000)::VARCHAR, h, 'nid', '{owner}') AS national_id,
        worn(name(common(h, 'family', 50000)), h, 'family', '{owner}') AS family_name,
        worn(name(common(h, 'given', 2000)), h, 'given', '{owner}') AS given_name,
        NULL::VARCHAR AS previous_family_name,
        DATE '1930-01-01' + draw(h, 'birth', 30000)::INTEGER AS birth_date, NULL::VARCHAR AS birth_date_source,
        CASE draw(h, 'sex', 2) WHEN 0 THEN 'F' ELSE 'M' END AS sex,
        worn((1 + draw(h, 'number', 400))::VARCHAR || ' ' || name(draw(h, 'street', 9000)) || ' Street', h, 'home',
            '{owner}') AS address,
        NULL::VARCHAR AS city, (10000 + draw(h, 'postal', 500))::VARCHAR AS postal_code,
        worn((2000000000 + draw(h, 'phone', 7000000000))::VARCHAR, h, 'phone', '{owner}') AS phone
    FROM truth WHERE person >= {first} AND person < {last}
) TO '{path}' (FORMAT parquet)
"""
BASELINE = """
SELECT count(*) FROM (
    SELECT a.person_id, b.person_id FROM '{0}' a JOIN '{1}' b USING (national_id, birth_date)
    UNION
    SELECT a.person_id, b.person_id FROM '{0}' a JOIN '{1}' b USING (family_name, given_name, birth_date, sex)
)
"""


def generate(folder: Path, records: int) -> dict[PartyId, Path]:
    """Write two identity tables that share half of their persons."""
    connection = duckdb.connect()
    connection.execute(GENERATE.format(persons=records * 3 // 2))
    files = {}
    for number, owner in enumerate(OWNERS):
        files[PartyId(owner)] = folder / f"{owner}.parquet"
        first = number * records // 2
        connection.execute(COPY.format(owner=owner, first=first, last=first + records, path=files[PartyId(owner)]))
    connection.close()
    return files


def main() -> None:
    """Print seconds, found pairs and the ratio."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    threads = min(2, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as name:
        files = generate(Path(name), records)
        connection = duckdb.connect(config={"threads": threads})
        start = time.perf_counter()
        row = connection.execute(BASELINE.format(*files.values())).fetchone()
        exact = time.perf_counter() - start
        connection.close()
        start = time.perf_counter()
        output = Path(name) / "map.parquet"
        report = link(files, output=output, randomness=secrets.token_bytes, threads=threads, memory_limit=4 << 30)
        linked = time.perf_counter() - start
    print(f"records per owner       {records}, truly shared {records // 2}")
    print(f"exact joins (baseline)  {exact:.2f} s, {row[0] if row else 0} pairs")
    print(f"linkage                 {linked:.2f} s, {report.linked_pairs} pairs")
    print(f"time ratio {linked / exact:.1f}, pairs ratio {report.linked_pairs / max(1, row[0] if row else 0):.3f}")


if __name__ == "__main__":
    main()
