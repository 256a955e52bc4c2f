"""Files from addresses: fetched once, checked, kept in one folder, and unpacked."""
