"""The attested runtime: takes one order, proves itself to every owner's desk, computes, protects, signs, forgets.

It believes nothing that the room says: contract, manifests and grants are verified here once more. It has no
network, no database of the room and no way to write plaintext: unsealed files live in anonymous memory, which
ends with the process.
"""
