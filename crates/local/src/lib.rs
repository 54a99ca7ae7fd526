//! millstream-local
