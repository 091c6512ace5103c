"""Confinement of the runtime: no network, no other files, no other programs, no privileges, limits.

Two rings. The outer ring is bubblewrap or, without it, namespaces of our own; the inner ring - an unprivileged user,
no capability, ``no_new_privs``, resource limits, Landlock, a seccomp filter - is closed by the process itself before
it imports anything of the runtime. What was reached is reported, never assumed.
"""
