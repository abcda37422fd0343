//! turns what arrived into one canonical record.
