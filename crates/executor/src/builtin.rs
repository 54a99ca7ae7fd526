//! Functions that every worker has: for benchmarks, demonstrations and tests.
