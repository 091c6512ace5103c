"""The Protocols that services need and adapters meet; no behaviour lives here."""
