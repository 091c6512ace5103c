"""A reader for restic repositories, versions 1 and 2: no restic binary, no mount, no lock, no write.

Written from the repository format in restic's design document
(https://restic.readthedocs.io/en/stable/100_references.html). Every byte that leaves this package was
authenticated with the repository's key and hashes to the id it was asked for.
"""
