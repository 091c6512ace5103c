"""An incident's papers: what scans and comparisons amount to in it, the certificate to read, plan and runbook."""
