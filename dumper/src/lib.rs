//! Reads recordings and writes reports.
