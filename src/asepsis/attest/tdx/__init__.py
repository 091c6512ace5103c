"""Intel TDX: quotes of the versions 4 and 5, signed through Intel's quoting enclave and its provisioning keys."""
