//! Spill files.
