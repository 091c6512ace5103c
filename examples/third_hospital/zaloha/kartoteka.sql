--
-- PostgreSQL database dump
--
SET client_encoding = 'UTF8';
COPY public.pacient (cislo, prijmeni, jmeno, narozen, pohlavi, ulice, mesto, zemrel) FROM stdin;
A00017	Nováková	Šárka	1954-03-21	Ž	Lhotecká 5	Plzeň	\N
A00018	Dvořák	Jiří	1961-11-02	M	Na Příkopě 9	Praha	2011-04-30
A00019	Říhová	Zdeňka	1948-02-30	Ž	Údolní 12	Brno	\N
A00020	Žák	Luboš	1970-07-15	M	U Mlýna\tdvůr B	Jičín	\N
\.
COPY public.uzivatel (id) FROM stdin;
1
\.
-- PostgreSQL database dump complete
