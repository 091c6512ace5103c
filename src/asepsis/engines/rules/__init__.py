"""What others know about ransomware: YARA rules and lists of names, read when a scan asks for them."""
