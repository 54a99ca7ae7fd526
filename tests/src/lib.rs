//! millstream-tests
