"""The story of DESIGN §2 on the bundled backups: every step is the real machinery, every line of it an observation."""
